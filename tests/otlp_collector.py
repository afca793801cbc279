"""A collector of spans, as OTLP over gRPC has it, that keeps what it is sent."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

_WAIT_S = 60.0


@dataclass(frozen=True)
class Told:
    """A span as it came."""

    service: str
    name: str
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    began_ns: int
    ended_ns: int
    attributes: dict[str, str]


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Attributes: endpoint: what exporters are told; spans: all that came."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.spans: list[Told] = []
        self._came = threading.Condition()

    def Export(self, request, _context):  # noqa: N802 - gRPC's name
        """Keep spans."""
        told = [
            Told(
                _text(resource.resource.attributes).get("service.name", ""),
                span.name,
                span.trace_id,
                span.span_id,
                span.parent_span_id,
                span.start_time_unix_nano,
                span.end_time_unix_nano,
                _text(span.attributes),
            )
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._came:
            self.spans += told
            self._came.notify_all()
        return pb.ExportTraceServiceResponse()

    def wait_for(self, number: int) -> list[Told]:
        """Every span, once there are so many."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.spans) >= number, _WAIT_S), self.spans
            return list(self.spans)


def _text(attributes):
    return {item.key: item.value.string_value or str(item.value.int_value) for item in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port, for the time of a test."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None).wait(30)
