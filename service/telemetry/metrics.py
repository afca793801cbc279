"""What is counted, for Prometheus to fetch."""

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from service.sessions.catalog import Catalog
from service.sessions.worker import SessionWorker
from service.telemetry.requests import RequestCounts

# By name in `Counts`, what it says. Their one label is the model, of which there are as many as are served.
COUNTERS = {
    "rows_applied": "Rows that advanced a model.",
    "rows_skipped": "Rows that had been consumed before: duplicates.",
    "rows_late": "Rows not after the latest one of their session, consumed without advancing it.",
    "rows_refused": "Rows that found the queue full, or were in it and were refused.",
    "rows_scored": "Rows held against the forecast made before them, where callers asked for scores.",
    "rows_covered": "Of the scored rows, those within the outermost quantile levels.",
    "missing_steps": "Steps that gaps in time inserted.",
    "rows_recovered": "Rows of the journal that were stepped again at the start.",
    "batches": "Batches run.",
    "sessions_spilled": "Sessions that left memory to make room.",
    "sessions_loaded": "Sessions that came from the store into memory.",
    "sessions_taken_over": "Sessions of memory that another replica has gone on with.",
    "store_failures": "Batches that the store did not take: their rows were refused.",
}
# By name in `Counts`, the name without its unit's letter, and what it says.
HISTOGRAMS = {
    "batch_rows": ("batch_rows", "Rows of each batch."),
    "queue_s": ("queue_seconds", "How long the first entry of each batch waited until it was taken."),
    "step_s": ("step_seconds", "How long each batch ran."),
    "store_s": ("store_seconds", "How long a durable store took over each batch."),
}
_PACKAGE = "statecast-server"


def registry_of(catalog: Catalog, requests: RequestCounts, is_ready: Callable[[], bool]) -> CollectorRegistry:
    """Everything that is counted, and what the process uses; read when it is asked for, on the event loop.

    The library's own global registry would add whatever else counts in this process.
    """
    registry = CollectorRegistry()
    registry.register(_WorkerMetrics(catalog))
    registry.register(_RequestMetrics(requests))
    registry.register(_ServerMetrics(is_ready))
    ProcessCollector(registry=registry)
    return registry


class _WorkerMetrics(Collector):
    """Each model's numbers. Nothing here walks over sessions."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def collect(self) -> Iterator[Metric]:
        workers = list(self._catalog)
        for name, meaning in COUNTERS.items():
            counter = CounterMetricFamily(f"statecast_{name}", meaning, labels=["model"])
            for worker in workers:
                counter.add_metric([worker.model.name], getattr(worker.counts, name))
            yield counter
        for field, (name, meaning) in HISTOGRAMS.items():
            family = HistogramMetricFamily(f"statecast_{name}", meaning, labels=["model"])
            for worker in workers:
                histogram = getattr(worker.counts, field)
                family.add_metric([worker.model.name], histogram.cumulative(), histogram.total)
            yield family
        yield _sessions(workers)
        yield _gauge("rows_waiting", "Rows that wait for a batch.", _each(workers, lambda w: w.num_waiting))
        yield _gauge(
            "journal_rows",
            "Rows that the saved states lack: a restart steps them again.",
            _each(workers, lambda w: w.store.backlog(w.model.name)),
        )
        yield _gauge(
            "coverage_expected",
            "Part of the scored rows that should lie within the outermost quantile levels.",
            [(name, levels[-1] - levels[0]) for name, levels in _levels(workers)],
        )
        yield _gauge("model_version", "Version served.", _each(workers, lambda w: w.model.version))


class _RequestMetrics(Collector):
    """Calls by method and status."""

    def __init__(self, requests: RequestCounts) -> None:
        self._requests = requests

    def collect(self) -> Iterator[Metric]:
        ended = CounterMetricFamily(
            "statecast_requests",
            "Calls that ended. Method `page`: the HTTP port turned them away, gRPC saw none of them.",
            labels=["method", "status"],
        )
        for labels, count in self._requests.ended.items():
            ended.add_metric(labels, count)
        yield ended
        open_now = GaugeMetricFamily(
            "statecast_requests_open", "Calls under way, open streams among them.", labels=["method"]
        )
        for method, count in self._requests.under_way().items():
            open_now.add_metric([method], count)
        yield open_now
        took = HistogramMetricFamily(
            "statecast_request_seconds", "How long each unary call was.", labels=["method"]
        )
        for method, histogram in self._requests.duration_s.items():
            took.add_metric([method], histogram.cumulative(), histogram.total)
        yield took


class _ServerMetrics(Collector):
    """What the server is, and whether it takes requests."""

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "statecast_ready", "Whether it takes requests.", value=float(self._is_ready())
        )
        info = GaugeMetricFamily("statecast_build_info", "What runs here.", labels=["version"])
        info.add_metric([importlib.metadata.version(_PACKAGE)], 1)
        yield info


def _sessions(workers: Iterable[SessionWorker]) -> Metric:
    """By place. Those in the store only are as many as this server knows: replicas beside it open others."""
    gauge = GaugeMetricFamily("statecast_sessions", "Sessions there are.", labels=["model", "place"])
    for worker in workers:
        gauge.add_metric([worker.model.name, "memory"], len(worker.table))
        gauge.add_metric([worker.model.name, "store"], worker.residency.num_elsewhere)
    return gauge


def _levels(workers: Iterable[SessionWorker]) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Quantile levels of the models that have them."""
    for worker in workers:
        if levels := worker.model.manifest.quantile_levels:
            yield worker.model.name, levels


def _each(
    workers: Iterable[SessionWorker], value: Callable[[SessionWorker], float]
) -> list[tuple[str, float]]:
    return [(worker.model.name, value(worker)) for worker in workers]


def _gauge(name: str, meaning: str, values: Iterable[tuple[str, float]]) -> Metric:
    gauge = GaugeMetricFamily(f"statecast_{name}", meaning, labels=["model"])
    for model, value in values:
        gauge.add_metric([model], value)
    return gauge
