"""What a server does in a second, from two readings of its counts."""

import math
import time
from dataclasses import dataclass

from cli.metrics import Reading

Buckets = list[tuple[float, float]]


@dataclass(frozen=True)
class Spread:
    """How long something took, in seconds; None where nothing did."""

    p50_s: float | None = None
    p99_s: float | None = None


@dataclass(frozen=True)
class ModelLoad:
    """A model's share. Rates are a second; `rows_per_batch` is a mean, None where there was no batch.

    Attributes:
        version: the one that is served.
        journal_rows: what the saved states lack, which a restart steps again.
    """

    model: str
    version: int
    rows_per_s: float
    rows_late_per_s: float
    rows_refused_per_s: float
    rows_per_batch: float | None
    queue: Spread
    step: Spread
    store: Spread
    rows_waiting: int
    sessions_in_memory: int
    sessions_in_store: int
    journal_rows: int
    store_failures_per_s: float


@dataclass(frozen=True)
class CallLoad:
    """A method's share; `took` is of unary calls, None for streams."""

    method: str
    open: int
    calls_per_s: float
    failures_per_s: float
    took: Spread | None


@dataclass(frozen=True)
class Load:
    """A server's state, and what it did between two readings.

    Attributes:
        memory_bytes: resident.
        cpu: cores that were busy with it.
        rows_per_s: of all models.
    """

    server_version: str
    is_ready: bool
    up_s: float
    memory_bytes: int
    cpu: float
    rows_per_s: float
    models: list[ModelLoad]
    calls: list[CallLoad]


def is_same_process(before: Reading, now: Reading) -> bool:
    """Whether the counts of both are one row of numbers; a server that began anew counts from zero."""
    name = "process_start_time_seconds"
    return before.value(name) == now.value(name)


def load_between(before: Reading, now: Reading) -> Load:
    """Rates from the first reading to the second, which are of one process and some time apart."""
    passed = _Passed(before, now)
    models = [_model(passed, name) for name in now.label_values("statecast_model_version", "model")]
    return Load(
        server_version=", ".join(now.label_values("statecast_build_info", "version")),
        is_ready=bool(now.value("statecast_ready")),
        up_s=max(time.time() - now.value("process_start_time_seconds"), 0.0),
        memory_bytes=int(now.value("process_resident_memory_bytes")),
        cpu=passed.rate("process_cpu_seconds_total"),
        rows_per_s=math.fsum(model.rows_per_s for model in models),
        models=models,
        calls=[_calls(passed, name) for name in now.label_values("statecast_requests_open", "method")],
    )


class _Passed:
    """What was added between two readings."""

    def __init__(self, before: Reading, now: Reading) -> None:
        self.before, self.now = before, now
        self._seconds = max(now.at_s - before.at_s, 1e-9)

    def added(self, name: str, **labels: str) -> float:
        return self.now.total(name, **labels) - self.before.total(name, **labels)

    def rate(self, name: str, **labels: str) -> float:
        return self.added(name, **labels) / self._seconds

    def spread(self, name: str, **labels: str) -> Spread:
        earlier = dict(self.before.buckets(name, **labels))
        new = [(bound, count - earlier.get(bound, 0.0)) for bound, count in self.now.buckets(name, **labels)]
        return Spread(quantile(new, 0.5), quantile(new, 0.99))


def quantile(buckets: Buckets, level: float) -> float | None:
    """Within the bucket that holds it, as if that were evenly filled, as Prometheus has it.

    Args:
        buckets: upper bounds, ascending and ending in infinity, and the values not above each.

    Returns:
        None of no values; the last finite bound where it is above that.
    """
    if not buckets or not buckets[-1][1]:
        return None
    rank, lower, below = level * buckets[-1][1], 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and count > below:
            return lower if math.isinf(bound) else lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return None


def _model(passed: _Passed, name: str) -> ModelLoad:
    now, of_model = passed.now, {"model": name}
    num_batches = passed.added("statecast_batch_rows_count", **of_model)
    return ModelLoad(
        model=name,
        version=int(now.value("statecast_model_version", **of_model)),
        rows_per_s=passed.rate("statecast_rows_applied_total", **of_model),
        rows_late_per_s=passed.rate("statecast_rows_late_total", **of_model),
        rows_refused_per_s=passed.rate("statecast_rows_refused_total", **of_model),
        rows_per_batch=passed.added("statecast_batch_rows_sum", **of_model) / num_batches
        if num_batches
        else None,
        queue=passed.spread("statecast_queue_seconds", **of_model),
        step=passed.spread("statecast_step_seconds", **of_model),
        store=passed.spread("statecast_store_seconds", **of_model),
        rows_waiting=int(now.value("statecast_rows_waiting", **of_model)),
        sessions_in_memory=int(now.value("statecast_sessions", model=name, place="memory")),
        sessions_in_store=int(now.value("statecast_sessions", model=name, place="store")),
        journal_rows=int(now.value("statecast_journal_rows", **of_model)),
        store_failures_per_s=passed.rate("statecast_store_failures_total", **of_model),
    )


def _calls(passed: _Passed, method: str) -> CallLoad:
    all_ended = passed.rate("statecast_requests_total", method=method)
    fine = passed.rate("statecast_requests_total", method=method, status="OK")
    is_unary = method in passed.now.label_values("statecast_request_seconds_count", "method")
    return CallLoad(
        method=method,
        open=int(passed.now.value("statecast_requests_open", method=method)),
        calls_per_s=all_ended,
        failures_per_s=all_ended - fine,
        took=passed.spread("statecast_request_seconds", method=method) if is_unary else None,
    )
