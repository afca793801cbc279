"""The HTTP port, on the event loop that serves gRPC."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from service.errors import EngineFailure, InvalidSettings
from service.telemetry.correlation import correlation_id

_log = structlog.get_logger()

# Prometheus asks every quarter of a minute, and should find its connection open.
_KEEP_ALIVE_S = 75
# For whoever looks after the server, not for its clients.
_MAX_CONNECTIONS = 64
_MAX_HEAD_BYTES = 16_384


class HttpServer:
    """Answers routes until it is closed.

    Attributes:
        address: with its real port.
    """

    def __init__(self, address: str, routes: Sequence[BaseRoute], tls: ssl.SSLContext | None = None) -> None:
        """Listen; in clear text without `tls`.

        Raises:
            InvalidSettings: the address is none, or cannot be listened on.
        """
        self._socket = _listen(address)
        self.address = f"{address.rpartition(':')[0]}:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            Starlette(routes=routes, exception_handlers={Exception: _surprise}),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            http="h11",
            ws="none",
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
            limit_concurrency=_MAX_CONNECTIONS,
            h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
        )
        config.load()
        config.ssl = tls
        self._server = _Server(config)
        self._task = asyncio.get_running_loop().create_task(self._server.serve([self._socket]))

    async def close(self) -> None:
        """Stop listening; takes up to a second."""
        self._server.should_exit = True
        await self._task


class _Server(uvicorn.Server):
    """Leaves signals to the process it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _surprise(_request: Request, error: Exception) -> Response:
    """Log an error that nobody foresaw; whoever asked learns only its correlation id."""
    failure = EngineFailure(correlation_id())
    _log.error("internal error", correlation_id=failure.correlation_id, exc_info=error)
    told = {"code": "INTERNAL", "message": str(failure), "correlation_id": failure.correlation_id}
    return JSONResponse(told, 500)


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InvalidSettings(f"http_address {address!r}: expected host:port")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family)
    except (OSError, OverflowError) as error:
        raise InvalidSettings(f"http_address {address}: cannot listen there") from error
