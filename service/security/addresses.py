"""Which addresses only this machine can reach."""

import ipaddress
import socket

from service.errors import InvalidSettings


def is_local(address: str) -> bool:
    """Whether nobody but this machine can connect to a `host:port` (or `unix:` path) that is listened on.

    A name counts as what it means here and now, all of it; an empty host is every address.
    """
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if not host:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(each[4][0]).partition("%")[0]).is_loopback for each in found)


def check_exposure(address: str, *, has_tls: bool, insecure: bool) -> None:
    """A server that others can reach speaks TLS, or was told in so many words not to.

    Raises:
        InvalidSettings: it would listen in clear text.
    """
    if has_tls or insecure or is_local(address):
        return
    raise InvalidSettings(
        f"address {address}: other machines could reach it, in clear text; give --tls-cert and --tls-key, "
        "listen on 127.0.0.1, or say --insecure where the network is trusted"
    )
