"""A span for each call, in whose trace the server goes on; needs the extra `trace`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import propagate, trace

from statecast.routing import Metadata


class Tracing:
    """Spans of OpenTelemetry's global provider, which the program sets up; without one nothing is sent."""

    def __init__(self) -> None:
        self._tracer = trace.get_tracer("statecast")

    @contextmanager
    def call(self, method: str) -> Iterator[Metadata]:
        """The span of one unary call, and what to send along so that the server's belongs to it."""
        with self._tracer.start_as_current_span(method, kind=trace.SpanKind.CLIENT):
            yield _carried()

    def stream(self, method: str, open_call: Callable[..., Any]) -> Callable[..., Any]:
        """`open_call` with a span that ends with the call."""

        def open_traced(*arguments: Any) -> Any:
            span = self._tracer.start_span(method, kind=trace.SpanKind.CLIENT)
            with trace.use_span(span):
                call = open_call(*arguments, metadata=_carried())
            call.add_done_callback(lambda _: span.end())
            return call

        return open_traced


def _carried() -> Metadata:
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return tuple(carrier.items())
