"""Values counted by size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.telemetry.histogram import SECONDS, Histogram


def test_a_value_belongs_to_the_first_bound_not_below_it():
    """As Prometheus' `le` has it, cumulated, the rest above the last."""
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 2, 3):
        histogram.add(value)
    assert histogram.cumulative() == [("1.0", 2.0), ("2.0", 4.0), ("+Inf", 5.0)]
    assert histogram.total == 8


@given(st.lists(st.floats(0, 100)))
def test_no_value_is_lost(values):
    """Buckets rise to the number of values, and each holds those not above its bound."""
    histogram = Histogram(SECONDS)
    for value in values:
        histogram.add(value)
    buckets = histogram.cumulative()
    assert buckets[-1] == ("+Inf", len(values))
    assert [count for _, count in buckets[:-1]] == [sum(v <= bound for v in values) for bound in SECONDS]
    assert histogram.total == pytest.approx(sum(values))
