"""What each model's worker counts, for Prometheus to fetch."""

from collections.abc import Iterator
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.errors import InvalidSettings
from service.sessions.catalog import Catalog
from service.sessions.worker import SessionWorker

# By name in `Counts`, what it says. Their one label is the model, of which there are as many as are served.
COUNTERS = {
    "rows_applied": "Rows that advanced a model.",
    "rows_skipped": "Rows that had been consumed before.",
    "rows_late": "Rows not after the latest one of their session, consumed without advancing it.",
    "rows_refused": "Rows that found the queue full, or were in it and were refused.",
    "missing_steps": "Steps that gaps in time inserted.",
    "rows_recovered": "Rows of the journal that were stepped again at the start.",
    "batches": "Batches run.",
    "sessions_spilled": "Sessions that left memory to make room.",
    "sessions_loaded": "Sessions that came from the store into memory.",
    "sessions_taken_over": "Sessions of memory that another replica has gone on with.",
}


class _WorkerMetrics(Collector):
    """Reads the workers' integers when it is asked, on the asking thread."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def collect(self) -> Iterator[Metric]:
        # Models may be added meanwhile.
        workers = list(self._catalog)
        for name, meaning in COUNTERS.items():
            counter = CounterMetricFamily(f"statecast_{name}", meaning, labels=["model"])
            for worker in workers:
                counter.add_metric([worker.model.name], getattr(worker.counts, name))
            yield counter
        yield _gauge("sessions_in_memory", "Sessions in memory.", [(w, len(w.table)) for w in workers])
        yield _gauge("rows_waiting", "Rows that wait for a batch.", [(w, w.num_waiting) for w in workers])


class MetricsServer:
    """Answers `GET /metrics` on threads of its own.

    Attributes:
        address: with its real port.
    """

    def __init__(self, address: str, catalog: Catalog) -> None:
        """Listen.

        Raises:
            InvalidSettings: the address is none, or cannot be listened on.
        """
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise InvalidSettings(f"metrics_address {address!r}: expected host:port")
        # Its own: the library's global one would add numbers of its process, and of whoever else counts.
        registry = CollectorRegistry()
        registry.register(_WorkerMetrics(catalog))
        self._server: WSGIServer
        self._thread: Thread
        try:
            self._server, self._thread = start_http_server(int(port), host.strip("[]"), registry)
        except (OSError, OverflowError) as error:
            raise InvalidSettings(f"metrics_address {address}: cannot listen there") from error
        self.address = f"{host}:{self._server.server_port}"

    def close(self) -> None:
        """Stop listening; takes up to half a second."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _gauge(name: str, meaning: str, values: list[tuple[SessionWorker, int]]) -> Metric:
    gauge = GaugeMetricFamily(f"statecast_{name}", meaning, labels=["model"])
    for worker, value in values:
        gauge.add_metric([worker.model.name], value)
    return gauge
