"""How a channel is set up, and which stub makes which call."""

from typing import Any

import grpc

from statecast.access import Token, WithToken
from statecast.v1 import forecast_pb2_grpc, model_pb2_grpc, session_pb2_grpc

# As much as the server takes unless it is told otherwise.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024


def options(max_message_bytes: int) -> list[tuple[str, Any]]:
    """Channel options, the same for both clients."""
    return [
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        # gRPC waits a second, then ever longer, before it dials again; within our budget that is too long.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        # Each client has its own connection: one client's backoff is not another's.
        ("grpc.use_local_subchannel_pool", 1),
    ]


class Stubs:
    """Calls by name on a channel of `grpc` or `grpc.aio`."""

    def __init__(self, channel: grpc.Channel | Any, token: Token | None = None) -> None:
        self._token = token
        self._forecast: Any = forecast_pb2_grpc.ForecastServiceStub(channel)
        self._model: Any = model_pb2_grpc.ModelServiceStub(channel)
        self._session: Any = session_pb2_grpc.SessionServiceStub(channel)

    def method(self, name: str) -> Any:
        """The callable for an RPC's name."""
        for stub in (self._forecast, self._model, self._session):
            if hasattr(stub, name):
                method = getattr(stub, name)
                return method if self._token is None else WithToken(method, self._token)
        raise LookupError(f"no call named {name!r}")
