"""Rates and latencies out of two readings of `/metrics`."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from cli.load import is_same_process, load_between, quantile
from cli.metrics import Reading

BOUNDS = (0.001, 0.01, 0.1, 1.0)


def _reading(at_s, values):
    return Reading(
        at_s, {name: {tuple(sorted(labels)): value for labels, value in found} for name, found in values}
    )


def _counts(at_s, rows, batches, queue_counts, started_s=5.0):
    """A model `m` that has applied `rows` in `batches`; `queue_counts` are cumulative, by bound and above."""
    model = ("model", "m")
    bounds = (*map(str, BOUNDS), "+Inf")
    queue = [((model, ("le", bound)), count) for bound, count in zip(bounds, queue_counts, strict=True)]
    return _reading(
        at_s,
        [
            ("statecast_model_version", [([model], 3.0)]),
            ("statecast_rows_applied_total", [([model], rows)]),
            ("statecast_batch_rows_sum", [([model], rows)]),
            ("statecast_batch_rows_count", [([model], batches)]),
            ("statecast_queue_seconds_bucket", queue),
            ("statecast_sessions", [([model, ("place", "memory")], 7.0), ([model, ("place", "store")], 2.0)]),
            ("statecast_ready", [([], 1.0)]),
            ("process_start_time_seconds", [([], started_s)]),
        ],
    )


def test_rates_are_of_the_time_between():
    """What came before the first reading is in no rate, mean or quantile."""
    before = _counts(10.0, 1_000, 10, (1_000, 1_000, 1_000, 1_000, 1_000))
    now = _counts(12.0, 1_100, 30, (1_000, 1_010, 1_020, 1_020, 1_020))
    (model,) = load_between(before, now).models
    assert (model.version, model.rows_per_s, model.rows_per_batch) == (3, 50.0, 5.0)
    assert (model.sessions_in_memory, model.sessions_in_store) == (7, 2)
    assert model.queue.p50_s == pytest.approx(0.01)
    assert 0.09 < model.queue.p99_s < 0.1


def test_nothing_that_happened_has_no_latency():
    """A quiet server has rates of 0, and means and quantiles of nothing."""
    quiet = _counts(10.0, 5, 5, (5, 5, 5, 5, 5))
    (model,) = load_between(quiet, Reading(11.0, quiet.values)).models
    assert (model.rows_per_s, model.rows_per_batch, model.queue.p50_s) == (0.0, None, None)


def test_a_server_that_began_anew_is_another():
    """Its counts are not to be held against those of the one before."""
    first, second = (_counts(10.0, 5, 5, (5,) * 5, started_s) for started_s in (5.0, 6.0))
    assert is_same_process(first, first)
    assert not is_same_process(first, second)


@given(
    st.lists(st.floats(0.0, 2.0), min_size=1, max_size=50),
    st.sampled_from([0.01, 0.5, 0.9, 0.99]),
)
def test_a_quantile_lies_in_the_bucket_of_its_value(values, level):
    """Whatever the values: the same bucket that the exact quantile is in; above all bounds it is the last."""
    registry = CollectorRegistry()
    histogram = Histogram("h", "", buckets=BOUNDS, registry=registry)
    for value in values:
        histogram.observe(value)
    family = next(iter(text_string_to_metric_families(generate_latest(registry).decode())))
    buckets = [(float(s.labels["le"]), s.value) for s in family.samples if s.name == "h_bucket"]
    exact = sorted(values)[math.ceil(level * len(values)) - 1]
    found = quantile(buckets, level)
    upper = next((bound for bound in BOUNDS if exact <= bound), BOUNDS[-1])
    lower = max([0.0, *(bound for bound in BOUNDS if bound < exact)])
    assert min(lower, upper) <= found <= upper


def test_no_values_have_no_quantile():
    """None, and not zero."""
    assert quantile([], 0.5) is None
    assert quantile([(0.1, 0.0), (math.inf, 0.0)], 0.5) is None
