"""The one table from the domain's errors to gRPC: status codes, details and trailers."""

import math
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias
from urllib.parse import quote

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from service.errors import (
    AccessWithdrawn,
    DamagedState,
    DeadlinePassed,
    Draining,
    EngineFailure,
    ForeignState,
    InvalidRequest,
    PermissionDenied,
    PositionConflict,
    QueueFull,
    RateLimited,
    SealRefused,
    SessionExists,
    StatecastError,
    StoreUnavailable,
    TokenLost,
    TooManyHandles,
    TooManySessions,
    TooManyWatches,
    Unauthenticated,
    UnknownModel,
    UnknownSession,
    UnknownVersion,
    UpgradeRefused,
)

_CODES: dict[type[StatecastError], grpc.StatusCode] = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    UnknownModel: grpc.StatusCode.NOT_FOUND,
    UnknownSession: grpc.StatusCode.NOT_FOUND,
    PositionConflict: grpc.StatusCode.ABORTED,
    QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    TooManySessions: grpc.StatusCode.RESOURCE_EXHAUSTED,
    TooManyHandles: grpc.StatusCode.RESOURCE_EXHAUSTED,
    TooManyWatches: grpc.StatusCode.RESOURCE_EXHAUSTED,
    RateLimited: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    # Who has a valid token goes on with the next stream; whoever has none is refused there.
    AccessWithdrawn: grpc.StatusCode.UNAVAILABLE,
    PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    DeadlinePassed: grpc.StatusCode.DEADLINE_EXCEEDED,
    StoreUnavailable: grpc.StatusCode.UNAVAILABLE,
    TokenLost: grpc.StatusCode.ABORTED,
    SessionExists: grpc.StatusCode.ALREADY_EXISTS,
    ForeignState: grpc.StatusCode.FAILED_PRECONDITION,
    DamagedState: grpc.StatusCode.DATA_LOSS,
    SealRefused: grpc.StatusCode.DATA_LOSS,
    UpgradeRefused: grpc.StatusCode.FAILED_PRECONDITION,
    UnknownVersion: grpc.StatusCode.NOT_FOUND,
    Draining: grpc.StatusCode.UNAVAILABLE,
    EngineFailure: grpc.StatusCode.INTERNAL,
}


# A negative delay asks the client not to send again by itself (gRFC A6).
_NEVER_MS = -1

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


@dataclass(frozen=True, slots=True)
class Status:
    """An error as it travels."""

    code: grpc.StatusCode
    message: str
    field: str = ""
    committed_position: int | None = None
    retry_after_ms: int | None = None
    correlation_id: str = ""
    detail: Message | None = None

    @property
    def number(self) -> int:
        """The code's number on the wire."""
        return int(self.code.value[0])


def status_of(error: StatecastError) -> Status:
    """What an error becomes."""
    code, message = _CODES[type(error)], str(error)
    match error:
        case InvalidRequest(field=field):
            violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message)
            detail: Message = error_details_pb2.BadRequest(field_violations=[violation])
            return Status(code, message, field=field, detail=detail)
        case UnknownModel(model=model):
            detail = error_details_pb2.ResourceInfo(resource_type="model", resource_name=model)
            return Status(code, message, field="model", detail=detail)
        case UnknownSession(session_id=session_id):
            detail = error_details_pb2.ResourceInfo(resource_type="session", resource_name=session_id)
            return Status(code, message, field="session_id", detail=detail)
        case SessionExists(session_id=session_id):
            detail = error_details_pb2.ResourceInfo(resource_type="session", resource_name=session_id)
            return Status(code, message, field="session_id", detail=detail)
        case ForeignState(found=found, served=served):
            info = {"model_digest": found, "served_digests": ",".join(served)}
            detail = error_details_pb2.ErrorInfo(reason="FOREIGN_STATE", domain="statecast", metadata=info)
            return Status(code, message, detail=detail)
        case SealRefused():
            return Status(code, message, field="sealed_state")
        case PositionConflict(committed=committed):
            info = {"committed_position": str(committed)}
            detail = error_details_pb2.ErrorInfo(
                reason="POSITION_CONFLICT", domain="statecast", metadata=info
            )
            return Status(code, message, field="position", committed_position=committed, detail=detail)
        case TokenLost():
            # The same code as a conflict of positions; this one is mended by sending again.
            detail = error_details_pb2.ErrorInfo(reason="TAKEN_OVER", domain="statecast")
            return Status(code, message, retry_after_ms=0, detail=detail)
        case QueueFull(retry_after_s=retry_after_s) | RateLimited(retry_after_s=retry_after_s):
            retry_after_ms = math.ceil(retry_after_s * 1000)
            seconds, left_ms = divmod(retry_after_ms, 1000)
            delay = duration_pb2.Duration(seconds=seconds, nanos=left_ms * 1_000_000)
            detail = error_details_pb2.RetryInfo(retry_delay=delay)
            return Status(code, message, retry_after_ms=retry_after_ms, detail=detail)
        case TooManySessions() | TooManyHandles():
            subject = error_details_pb2.QuotaFailure.Violation(subject="max_sessions", description=message)
            quota = error_details_pb2.QuotaFailure(violations=[subject])
            return Status(code, message, retry_after_ms=_NEVER_MS, detail=quota)
        case TooManyWatches():
            return Status(code, message, retry_after_ms=_NEVER_MS)
        case EngineFailure(correlation_id=correlation_id):
            detail = error_details_pb2.RequestInfo(request_id=correlation_id)
            return Status(code, message, correlation_id=correlation_id, detail=detail)
    return Status(code, message)


async def abort(context: Context, error: StatecastError) -> NoReturn:
    """End a call with an error: status, `google.rpc` details, and plain trailers for light clients."""
    status = status_of(error)
    details = []
    if status.detail is not None:
        packed = any_pb2.Any()
        packed.Pack(status.detail)
        details.append(packed)
    rich = status_pb2.Status(code=status.number, message=status.message, details=details)
    trailers = list(rpc_status.to_status(rich).trailing_metadata)
    await context.abort(status.code, status.message, (*trailers, *_plain_trailers(status)))
    raise AssertionError("abort always raises")


def _plain_trailers(status: Status) -> list[tuple[str, str]]:
    trailers = []
    if status.field:
        trailers.append(("statecast-field", quote(status.field)))
    if status.committed_position is not None:
        trailers.append(("statecast-committed-position", str(status.committed_position)))
    if status.correlation_id:
        trailers.append(("statecast-correlation-id", status.correlation_id))
    if status.retry_after_ms is not None:
        # The name that gRPC itself gives a server's wish about retries (gRFC A6).
        trailers.append(("grpc-retry-pushback-ms", str(status.retry_after_ms)))
    return trailers
