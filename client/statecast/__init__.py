"""Client for statecast: rows of series in, forecasts out, each row applied exactly once."""

from statecast.async_client import AsyncClient, AsyncSession
from statecast.async_rows import AsyncStreamSession
from statecast.async_stream import AsyncPendingFrame, AsyncStream
from statecast.errors import (
    AccessDenied,
    DataLoss,
    InternalError,
    InvalidRequest,
    NotFound,
    Overloaded,
    PositionConflict,
    SessionMismatch,
    StatecastError,
    Unacknowledged,
    Unanswered,
    Unavailable,
    Unsupported,
)
from statecast.forecast import Forecast, ForecastResult
from statecast.frames import FrameResult
from statecast.model import Feature, Model
from statecast.sync_client import Client, Session
from statecast.sync_rows import StreamSession
from statecast.sync_stream import PendingFrame, Stream

__all__ = [
    "AccessDenied",
    "AsyncClient",
    "AsyncPendingFrame",
    "AsyncSession",
    "AsyncStream",
    "AsyncStreamSession",
    "Client",
    "DataLoss",
    "Feature",
    "Forecast",
    "ForecastResult",
    "FrameResult",
    "InternalError",
    "InvalidRequest",
    "Model",
    "NotFound",
    "Overloaded",
    "PendingFrame",
    "PositionConflict",
    "Session",
    "SessionMismatch",
    "StatecastError",
    "Stream",
    "StreamSession",
    "Unacknowledged",
    "Unanswered",
    "Unavailable",
    "Unsupported",
]
