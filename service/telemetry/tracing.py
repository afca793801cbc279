"""Where a request's time went, told to an OpenTelemetry collector. Where it is off nothing is loaded."""

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import structlog

from service.clock import Clock
from service.errors import InvalidSettings

# The present call's trace, an OpenTelemetry context; None where the call is not traced, or nothing is.
TRACE: ContextVar[Any] = ContextVar("statecast_trace", default=None)
_EXPORT_TIMEOUT_S = 2
# Requests of a traced stream that are told: of all, its trace would grow on and on.
_TOLD_EVERY_S = 1.0


class Timed(Protocol):
    """When a batch ran, on the worker's clock; see `BatchPlan`."""

    began_s: float
    ended_s: float


class StreamTrace:
    """The trace of a stream that is opened now, as its requests are told to it: one a second."""

    def __init__(self) -> None:
        self._trace, self._told_at_s = TRACE.get(), -math.inf

    @property
    def is_due(self) -> bool:
        """Whether the next request is told."""
        return self._trace is not None and time.monotonic() - self._told_at_s >= _TOLD_EVERY_S

    def take(self) -> Any:
        """The trace of a request at hand, None where it is not told."""
        if not self.is_due:
            return None
        self._told_at_s = time.monotonic()
        return self._trace


class Tracing:
    """Makes spans and sends them off in the background, on a thread of its own."""

    def __init__(self, endpoint: str, ratio: float, clock: Clock) -> None:
        """Set up.

        Args:
            endpoint: a collector's, such as `http://localhost:4317`.
            ratio: share of calls traced whose caller has not decided it.

        Raises:
            InvalidSettings: OpenTelemetry is not installed.
        """
        try:
            from opentelemetry import propagate, trace
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
        except ImportError as error:
            raise InvalidSettings(f"trace {endpoint}: needs the extra `trace`: {error}") from error
        insecure = not endpoint.startswith("https://")
        exporter = OTLPSpanExporter(endpoint=endpoint, insecure=insecure, timeout=_EXPORT_TIMEOUT_S)
        resource = Resource.create({"service.name": "statecast"})
        self._provider = TracerProvider(sampler=ParentBasedTraceIdRatio(ratio), resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("statecast")
        self._trace, self._extract = trace, propagate.extract
        # Spans have the time since 1970, batches that of a clock that never goes back.
        self._offset_s = clock.wall_s() - clock.monotonic_s()

    @contextmanager
    def call(self, method: str, metadata: Iterable[tuple[str, str | bytes]]) -> Iterator[None]:
        """The span of one call of the server, in the caller's trace where `traceparent` names one."""
        parent = self._extract({key: value for key, value in metadata if isinstance(value, str)})
        attributes = {"rpc.system": "grpc", "rpc.method": method}
        kind = self._trace.SpanKind.SERVER
        with self._tracer.start_as_current_span(method, parent, kind, attributes) as span:
            if not span.is_recording():
                yield
                return
            trace_id = self._trace.format_trace_id(span.get_span_context().trace_id)
            structlog.contextvars.bind_contextvars(trace_id=trace_id)
            token = TRACE.set(self._trace.set_span_in_context(span))
            try:
                yield
            finally:
                TRACE.reset(token)

    def batch(self, model: str, frames: Iterable[Any], num_rows: int, timed: Timed, stored_s: float) -> None:
        """The spans of a batch that is over, in the trace of each frame that has one.

        Args:
            frames: `Frame`s of the batch.
            stored_s: when a durable store had it; not above `timed.ended_s` where none was asked.
        """
        attributes = {"statecast.model": model, "statecast.batch_rows": num_rows}
        for frame in frames:
            if frame.trace is None:
                continue
            self._span("queue", frame.trace, frame.arrived_s, timed.began_s, {})
            self._span("step", frame.trace, timed.began_s, timed.ended_s, attributes)
            if stored_s > timed.ended_s:
                self._span("store commit", frame.trace, timed.ended_s, stored_s, attributes)

    def close(self) -> None:
        """Send what is left; takes seconds where the collector is away."""
        self._provider.shutdown()

    def _span(
        self, name: str, parent: Any, began_s: float, ended_s: float, attributes: dict[str, Any]
    ) -> None:
        span = self._tracer.start_span(name, parent, attributes=attributes, start_time=self._ns(began_s))
        span.end(self._ns(ended_s))

    def _ns(self, clock_s: float) -> int:
        return int((clock_s + self._offset_s) * 1e9)
