"""Client for statecast: rows of series in, forecasts out, each row applied exactly once."""

from statecast.access import Tls, token_file
from statecast.async_carried import AsyncCarriedSession
from statecast.async_client import AsyncClient, AsyncSession
from statecast.async_rows import AsyncStreamSession
from statecast.async_sessions import AsyncSessions, AsyncWatch
from statecast.async_stream import AsyncPendingFrame, AsyncStream
from statecast.errors import (
    AccessDenied,
    AlreadyExists,
    DataLoss,
    InternalError,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    PositionConflict,
    SessionMismatch,
    StatecastError,
    TakenOver,
    Unacknowledged,
    Unanswered,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from statecast.forecast import Forecast, ForecastResult
from statecast.frames import FrameResult
from statecast.model import Feature, Model
from statecast.rows import with_future
from statecast.session_info import SessionEvent, SessionInfo
from statecast.sync_carried import CarriedSession
from statecast.sync_client import Client, Session
from statecast.sync_rows import StreamSession
from statecast.sync_sessions import Sessions, Watch
from statecast.sync_stream import PendingFrame, Stream
from statecast.watched_row import WatchedEvent, WatchedRow

__all__ = [
    "AccessDenied",
    "AlreadyExists",
    "AsyncCarriedSession",
    "AsyncClient",
    "AsyncPendingFrame",
    "AsyncSession",
    "AsyncSessions",
    "AsyncStream",
    "AsyncStreamSession",
    "AsyncWatch",
    "CarriedSession",
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
    "PermissionDenied",
    "PositionConflict",
    "Session",
    "SessionEvent",
    "SessionInfo",
    "SessionMismatch",
    "Sessions",
    "StatecastError",
    "Stream",
    "StreamSession",
    "TakenOver",
    "Tls",
    "Unacknowledged",
    "Unanswered",
    "Unauthenticated",
    "Unavailable",
    "Unsupported",
    "Watch",
    "WatchedEvent",
    "WatchedRow",
    "token_file",
    "with_future",
]
