"""What every call goes through: domain errors become statuses, surprises become INTERNAL."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import structlog

from service.errors import EngineFailure, StatecastError
from service.rpc.status import Context, abort
from service.telemetry.correlation import correlation_id

_log = structlog.get_logger()
_Reply = TypeVar("_Reply")
_Handler = Callable[[Any, Any, Context], Awaitable[_Reply]]


def surprise(cause: Exception) -> EngineFailure:
    """Log an error that nobody foresaw; the caller learns only its correlation id."""
    failure = EngineFailure(correlation_id())
    _log.error("internal error", correlation_id=failure.correlation_id, exc_info=cause)
    return failure


def guarded(handler: "_Handler[_Reply]") -> "_Handler[_Reply]":
    """A unary handler whose errors travel as `rpc.status` says."""

    @functools.wraps(handler)
    async def call(servicer: Any, request: Any, context: Context) -> _Reply:
        try:
            return await handler(servicer, request, context)
        except StatecastError as error:
            await abort(context, error)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await abort(context, surprise(error))

    return call
