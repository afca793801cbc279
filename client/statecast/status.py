"""From gRPC's statuses to our errors; the only place that knows both."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

import grpc

from statecast.errors import (
    InternalError,
    InvalidRequest,
    Overloaded,
    PositionConflict,
    StatecastError,
    TakenOver,
    Unacknowledged,
    Unavailable,
)
from statecast.v1 import forecast_pb2

FIELD = "statecast-field"
COMMITTED_POSITION = "statecast-committed-position"
CORRELATION_ID = "statecast-correlation-id"
RETRY_DELAY = "grpc-retry-pushback-ms"

_NAME_BY_NUMBER: dict[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}
# What gRPC's core and proxies say under INTERNAL or UNKNOWN where it was the connection that broke. The
# last is grpc.aio's (seen with 1.85): a write that finds its stream ended hides the status it ended with.
_BROKEN = ("rst_stream", "stream removed", "connection reset", "goaway", "internal error from core")
_TOO_LARGE = "message larger than max"


def _subclasses(parent: type[StatecastError]) -> Iterator[type[StatecastError]]:
    for child in parent.__subclasses__():
        yield child
        yield from _subclasses(child)


_CLASS_BY_CODE = {code: kind for kind in _subclasses(StatecastError) for code in kind.codes}


def from_rpc_error(error: grpc.RpcError) -> StatecastError:
    """The error that a failed call means, fields taken from the trailers.

    Args:
        error: as raised by a call of `grpc` or `grpc.aio`.
    """
    call: Any = error  # grpc's errors are calls too, which RpcError does not say
    trailers = {key: value for key, value in call.trailing_metadata() or () if isinstance(value, str)}
    return from_status(call.code().name, call.details() or "", trailers)


def from_status(code: str, message: str, trailers: Mapping[str, str] | None = None) -> StatecastError:
    """The error for a status name, its message and its trailers (percent-encoded ASCII)."""
    trailers = trailers or {}
    field = unquote(trailers.get(FIELD, ""))
    correlation_id = unquote(trailers.get(CORRELATION_ID, ""))
    lowered = message.lower()
    if code == "RESOURCE_EXHAUSTED" and _TOO_LARGE in lowered:
        # The same status as an overload, but waiting does not make the message smaller.
        return InvalidRequest(message, code=code, field=field)
    kind = _CLASS_BY_CODE.get(code, InternalError)
    if kind is InternalError:
        if not correlation_id and any(sign in lowered for sign in _BROKEN):
            return Unavailable(message, code=code)
        return InternalError(message, code=code, field=field, correlation_id=correlation_id)
    if kind is PositionConflict:
        committed = _integer(trailers.get(COMMITTED_POSITION))
        if committed is None and RETRY_DELAY in trailers:
            # The same status, with leave to send again in place of a position to go on from.
            return TakenOver(message, code=code, field=field)
        return PositionConflict(message, code=code, field=field, committed_position=committed)
    if kind is Overloaded:
        delay_ms = _integer(trailers.get(RETRY_DELAY))
        delay_s = None if delay_ms is None else delay_ms / 1000
        return Overloaded(message, code=code, field=field, retry_after_s=delay_s)
    return kind(message, code=code, field=field)


def from_frame_error(error: forecast_pb2.FrameError) -> StatecastError:
    """The error of a whole frame."""
    return from_status(_name(error.code), error.message, _as_trailers(error))


def from_entry_error(error: forecast_pb2.EntryError) -> StatecastError:
    """The error of one entry of a frame."""
    trailers = _as_trailers(error)
    if error.HasField("committed_position"):
        trailers[COMMITTED_POSITION] = str(error.committed_position)
    return from_status(_name(error.code), error.message, trailers)


def cancelled() -> StatecastError:
    """For a call that the other side cancelled."""
    return Unacknowledged("the call was cancelled before its answer came", code="CANCELLED")


def _name(number: int) -> str:
    return _NAME_BY_NUMBER.get(number, "UNKNOWN")


def _as_trailers(error: forecast_pb2.FrameError | forecast_pb2.EntryError) -> dict[str, str]:
    """What an error in a frame says, as a failed call's trailers would."""
    trailers = {FIELD: quote(error.field)}
    if error.HasField("retry_after_ms"):
        trailers[RETRY_DELAY] = str(error.retry_after_ms)
    return trailers


def _integer(text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None
