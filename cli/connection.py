"""How commands reach a server: the same options for each of them."""

import functools
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.completion import model_names

if TYPE_CHECKING:
    import grpc

    from statecast import Client, Tls
    from statecast.access import Token

_LOCAL = "localhost:50051"
# Not a flag: whoever lists processes would read it.
_TOKEN_VARIABLE = "STATECAST_TOKEN"
SYSTEM = "system"

# Of those commands that ask for a model.
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model", help="Model name; needless where only one is served.", autocompletion=model_names
    ),
]
Server = Annotated[str, typer.Option("--server", "--address", help="Host and port of the server.")]
TlsCa = Annotated[
    str | None,
    typer.Option(
        "--tls-ca",
        metavar="FILE|system",
        help="Speak TLS, trusting these authorities: a PEM file, or those that gRPC comes with.",
    ),
]
TlsCert = Annotated[
    Path | None, typer.Option("--tls-cert", help="Our own certificate, where the server asks for one (PEM).")
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="The key of --tls-cert (PEM).")]
TlsName = Annotated[
    str | None, typer.Option("--tls-name", help="The name in the server's certificate, where it is another.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="STATECAST_TOKEN_FILE",
        show_envvar=False,
        help="A file with the token to show; otherwise that of the environment's STATECAST_TOKEN.",
    ),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Send the token in clear text to another machine as well.")
]


@dataclass(frozen=True)
class Connection:
    """A server, and what is shown to it."""

    server: str = _LOCAL
    tls_ca: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_name: str | None = None
    token_file: Path | None = None
    insecure: bool = False

    def client(self, **named: Any) -> "Client":
        """A client; `named` are further arguments of it.

        Raises:
            ValueError, OSError: see `statecast.Client`.
        """
        from statecast import Client

        return Client(self.server, tls=self._tls(), token=self._token(), insecure=self.insecure, **named)

    def channel(self) -> "grpc.Channel":
        """A channel, without a token.

        Raises:
            ValueError, OSError: see `statecast.Client`.
        """
        import grpc

        from statecast.access import access

        shown = access(self.server, self._tls(), None, None, self.insecure)
        if shown.credentials is None:
            return grpc.insecure_channel(self.server)
        return grpc.secure_channel(self.server, shown.credentials, shown.options)

    def _tls(self) -> "bool | Tls":
        from statecast import Tls

        if self.tls_ca is None:
            if self.tls_cert or self.tls_key or self.tls_name:
                raise ValueError("--tls-cert, --tls-key and --tls-name: expected --tls-ca beside them")
            return False
        ca = None if self.tls_ca == SYSTEM else self.tls_ca
        return Tls(ca=ca, cert=self.tls_cert, key=self.tls_key, server_name=self.tls_name)

    def _token(self) -> "Token | None":
        from statecast import token_file

        if self.token_file is None:
            return os.environ.get(_TOKEN_VARIABLE) or None
        read = token_file(self.token_file)
        # A file that is not there is said at once, and not with some later call.
        read()
        return read


# Written out, because typer reads them from signatures.
_OPTIONS = {
    "server": Server,
    "tls_ca": TlsCa,
    "tls_cert": TlsCert,
    "tls_key": TlsKey,
    "tls_name": TlsName,
    "token_file": TokenFile,
    "insecure": Insecure,
}


def connects(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of `Connection` in place of its parameter `connection`."""
    signature = inspect.signature(command, eval_str=True)
    own = [each for name, each in signature.parameters.items() if name != "connection"]
    options = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=Connection.__dataclass_fields__[name].default,
            annotation=annotation,
        )
        for name, annotation in _OPTIONS.items()
    ]

    @functools.wraps(command)
    def connected(**given: Any) -> None:
        connection = Connection(**{name: given.pop(name) for name in _OPTIONS})
        command(connection=connection, **given)

    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own] + options
    connected.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    connected.__annotations__ = {each.name: each.annotation for each in parameters}
    return connected
