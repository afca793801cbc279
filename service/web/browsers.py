"""What a browser is told of the page, and which requests of browsers are the page's own."""

import ipaddress
import socket
from collections.abc import Mapping

from starlette.requests import Request

from service.security.addresses import is_local

# Nothing from elsewhere, nothing in line: what a session's id or a model's name holds is never run.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "font-src 'self'",
        "img-src 'self' data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


class Refused(Exception):
    """A request that is not the page's.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Hosts:
    """The names that a port is asked under.

    A name that its owner points at our address makes a stranger's page one of our origin (DNS rebinding),
    unless the name itself is refused. An address is no name: nobody can point it elsewhere.
    """

    def __init__(self, address: str, *, asks: bool) -> None:
        """Args:
        address: that is listened on.
        asks: whether callers must show a token, which a page of another name has none of. Any name is
            ours then: a proxy's, for one.
        """
        self._is_open = asks
        self._is_local = is_local(address)
        own = {address.rpartition(":")[0].strip("[]").lower(), socket.gethostname().lower()}
        self._names = _LOOPBACK_NAMES if self._is_local else _LOOPBACK_NAMES | own

    def check(self, request: Request) -> None:
        """Raises Refused: the request is for another."""
        host = _name_of(request.headers.get("host", ""))
        if self._is_open or host in self._names:
            return
        try:
            is_ours = ipaddress.ip_address(host).is_loopback or not self._is_local
        except ValueError:
            is_ours = False
        if not is_ours:
            expected = "localhost or 127.0.0.1" if self._is_local else "this machine's address or name"
            raise Refused(421, f"asked for host {host!r}: expected {expected}")


def check_call(request: Request) -> None:
    """Whether a call comes from our own page, or from no page.

    A form of another origin cannot send this content type; a script of one would have to ask first, and
    nothing here answers that.

    Raises:
        Refused: it may come from another origin.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refused(403, "asked from the page of another origin")
    kind = request.headers.get("content-type", "")
    if kind.partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, f"content-type {kind!r}: expected application/json")


def _name_of(host: str) -> str:
    """Without its port."""
    if host.startswith("["):
        return host.partition("]")[0][1:].lower()
    return host.partition(":")[0].lower().rstrip(".")
