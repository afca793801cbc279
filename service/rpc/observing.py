"""What every call is counted and logged by; handlers know nothing of it."""

import inspect
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
import structlog

from service.telemetry.requests import RequestCounts
from service.telemetry.tracing import Tracing

# A caller's own name for a request: what is logged on its behalf bears it, and an error answers with it.
CORRELATION_HEADERS = ("statecast-correlation-id", "x-request-id")
_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_OURS = ("/statecast.", "/inference.")
# Whatever is called that is not there counts as one: anybody can make up names.
UNKNOWN = "unknown"
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}

_log = structlog.get_logger()

_Handler = Any
_Details = grpc.HandlerCallDetails


class Observing(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Counts this server's calls, those of health and reflection not among them."""

    def __init__(self, requests: RequestCounts, tracing: Tracing | None = None) -> None:
        self._requests, self._tracing = requests, tracing
        self._wrapped: dict[str, tuple[_Handler, _Handler]] = {}

    async def intercept_service(
        self, continuation: Callable[[_Details], Awaitable[_Handler]], details: _Details
    ) -> _Handler:
        """Gives gRPC the handler that counts, the same for every call of a method."""
        method: str = details.method
        handler = await continuation(details)
        if handler is None:
            self._requests.begin(UNKNOWN)
            self._requests.end(UNKNOWN, grpc.StatusCode.UNIMPLEMENTED.name)
            return None
        if not method.startswith(_OURS):
            return handler
        _bind_correlation_id(details.invocation_metadata or ())
        known = self._wrapped.get(method)
        if known is None or known[0] is not handler:
            known = self._wrapped[method] = (handler, self._wrap(handler, call_name(method)))
        return known[1]

    def _wrap(self, handler: _Handler, method: str) -> _Handler:
        codecs = handler.request_deserializer, handler.response_serializer
        if handler.request_streaming and handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(
                self._stream(self._traced(handler.stream_stream, method), method), *codecs
            )
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(self._traced(handler.unary_stream, method), method), *codecs
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(self._traced(handler.unary_unary, method), method), *codecs
        )

    def _traced(self, behaviour: Any, method: str) -> Any:
        """Within a span; a generator's calls (a watch) have none."""
        tracing = self._tracing
        if tracing is None or inspect.isasyncgenfunction(behaviour):
            return behaviour

        async def call(request: Any, context: Any) -> Any:
            with tracing.call(method, context.invocation_metadata() or ()):
                return await behaviour(request, context)

        return call

    def _unary(self, behaviour: Any, method: str) -> Any:
        requests, now_s = self._requests, time.perf_counter

        async def call(request: Any, context: Any) -> Any:
            began_s = now_s()
            requests.begin(method)
            status = "OK"
            try:
                return await behaviour(request, context)
            except BaseException as error:
                status = _status(error, context)
                raise
            finally:
                seconds = now_s() - began_s
                requests.end(method, status)
                requests.took(method, seconds)
                _log.debug("call", method=method, status=status, seconds=seconds)

        return call

    def _stream(self, behaviour: Any, method: str) -> Any:
        requests = self._requests

        async def call(request: Any, context: Any) -> None:
            requests.begin(method)
            status = "OK"
            try:
                await behaviour(request, context)
            except BaseException as error:
                status = _status(error, context)
                raise
            finally:
                requests.end(method, status)
                _log.debug("call", method=method, status=status)

        async def iterate(request: Any, context: Any) -> AsyncIterator[Any]:
            requests.begin(method)
            status = "OK"
            try:
                async for response in behaviour(request, context):
                    yield response
            except BaseException as error:
                status = _status(error, context)
                raise
            finally:
                requests.end(method, status)
                _log.debug("call", method=method, status=status)

        return iterate if inspect.isasyncgenfunction(behaviour) else call


def call_name(method: str) -> str:
    """`/statecast.v1.ForecastService/Forecast` as `ForecastService/Forecast`."""
    service, _, call = method.strip("/").partition("/")
    return f"{service.rpartition('.')[2]}/{call}"


def _status(error: BaseException, context: Any) -> str:
    if isinstance(error, grpc.aio.AbortError):
        code = context.code()
        return code.name if isinstance(code, grpc.StatusCode) else _NAMES.get(code, "UNKNOWN")
    if isinstance(error, Exception):
        return grpc.StatusCode.UNKNOWN.name
    # Cancelled, or a generator that nobody reads to its end: whoever asked has left.
    return grpc.StatusCode.CANCELLED.name


def _bind_correlation_id(metadata: Sequence[tuple[str, str | bytes]]) -> None:
    """For the log lines of this call, which has a context of its own."""
    for key, value in metadata:
        if key in CORRELATION_HEADERS and isinstance(value, str) and _CORRELATION_ID.fullmatch(value):
            structlog.contextvars.bind_contextvars(correlation_id=value)
            return
