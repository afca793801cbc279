"""How a client shows who it is, and makes sure of whom it speaks to."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import grpc

AUTHORIZATION = "authorization"
# A token, or what gives the one of the moment: called with each call of the server.
Token: TypeAlias = str | Callable[[], str]


@dataclass(frozen=True)
class Tls:
    """Files for a connection by TLS, in PEM.

    Attributes:
        ca: certificates of the authorities that are trusted; None for those that gRPC comes with.
        cert: our own certificate chain, where the server asks for one.
        key: its key.
        server_name: the name in the server's certificate, where it is not that of the target.
    """

    ca: str | Path | None = None
    cert: str | Path | None = None
    key: str | Path | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("tls: expected cert and key, or neither")

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files.

        Raises:
            OSError: one cannot be read.
        """
        return grpc.ssl_channel_credentials(_read(self.ca), _read(self.key), _read(self.cert))


@dataclass(frozen=True)
class Access:
    """What a channel is made with, checked.

    Attributes:
        credentials: of the channel; None for clear text.
        options: further ones of the channel.
        token: what is shown with each call.
    """

    credentials: grpc.ChannelCredentials | None
    options: tuple[tuple[str, Any], ...]
    token: Token | None


def access(
    target: str,
    tls: bool | str | Path | Tls,
    token: Token | None,
    credentials: grpc.ChannelCredentials | None,
    insecure: bool,
) -> Access:
    """What a client's arguments mean.

    Raises:
        ValueError: they contradict each other, or a token would travel where others can read it.
        OSError: a file cannot be read.
    """
    if tls is not False and credentials is not None:
        raise ValueError("expected tls or credentials, not both")
    channel_options: tuple[tuple[str, Any], ...] = ()
    if tls is not False:
        files = tls if isinstance(tls, Tls) else Tls() if tls is True else Tls(ca=tls)
        credentials = files.credentials()
        if files.server_name is not None:
            channel_options = (("grpc.ssl_target_name_override", files.server_name),)
    if token is not None and credentials is None and not (insecure or is_local(target)):
        raise ValueError(
            f"the token would travel to {target} in clear text; give tls, "
            "or insecure=True where the network is trusted"
        )
    return Access(credentials, channel_options, token)


def token_file(path: str | Path) -> Callable[[], str]:
    """The token in a file, read anew for each call, so that it can be replaced."""

    def read() -> str:
        return Path(path).read_text("utf-8").strip()

    return read


class WithToken:
    """A callable of a stub that shows a token with each call."""

    def __init__(self, method: Any, token: Token) -> None:
        self._method, self._token = method, token

    def __call__(self, *args: Any, metadata: Any = (), **named: Any) -> Any:
        """As the stub's callable."""
        return self._method(*args, metadata=(*metadata, self._shown()), **named)

    def future(self, *args: Any, metadata: Any = (), **named: Any) -> Any:
        """As the stub's callable."""
        return self._method.future(*args, metadata=(*metadata, self._shown()), **named)

    def _shown(self) -> tuple[str, str]:
        token = self._token if isinstance(self._token, str) else self._token()
        return AUTHORIZATION, f"Bearer {token}"


def is_local(target: str) -> bool:
    """Whether a target is on this machine, as far as its words say."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    host = target.rpartition("/")[2]
    for scheme in ("ipv4:", "ipv6:", "dns:"):
        host = host.removeprefix(scheme)
    if host.count(":") == 1 or host.startswith("["):
        host = host.rpartition(":")[0] if not host.endswith("]") else host
    host = host.strip("[]")
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(path: str | Path | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
