"""Positions, duplicates, late rows and gaps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.frequency import Frequency
from service.engine.runner import Reply
from service.errors import InvalidRequest, PositionConflict
from service.sessions.chunk import Chunk
from service.sessions.plan import StepLimits, plan

HOUR = 3_600_000_000
HOURLY = Frequency.parse("h")
LIMITS = StepLimits(max_gap_steps=5, max_steps=100)


def chunk(values, times_h=None, position=None):
    times = None if times_h is None else (np.array(times_h) * HOUR).astype(np.int64)
    return Chunk("s", np.array(values, np.float64).reshape(-1, 1), times, position, Reply.LAST)


def planned(values, times_h=None, position=None, committed=0, last_h=None, limits=LIMITS):
    last = None if last_h is None else int(last_h * HOUR)
    return plan(chunk(values, times_h, position), committed, last, HOURLY, limits)


def rows(result):
    return [None if np.isnan(value) else value for value in result.rows[:, 0]]


def test_rows_without_position_or_time_apply_as_they_come():
    """Nothing is skipped and the position advances by the rows."""
    result = planned([1, 2, 3], committed=7)
    assert rows(result) == [1, 2, 3]
    assert result.position == 10
    assert list(result.positions) == [8, 9, 10]


@pytest.mark.parametrize(
    ("position", "committed", "stepped", "skipped"),
    [(5, 5, [1, 2, 3], 0), (3, 5, [3], 2), (2, 5, [], 3), (0, 9, [], 3)],
)
def test_rows_below_the_committed_position_are_skipped(position, committed, stepped, skipped):
    """The overlap is skipped, the rest applied, and the position never goes back."""
    result = planned([1, 2, 3], position=position, committed=committed)
    assert rows(result) == stepped
    assert result.num_skipped == skipped
    assert result.position == committed + len(stepped)


def test_rows_after_the_committed_position_are_refused():
    """A hole before the rows is a conflict that names the committed position."""
    with pytest.raises(PositionConflict) as caught:
        planned([1], position=6, committed=5)
    assert caught.value.committed == 5


def test_a_late_row_is_consumed_but_not_stepped():
    """A row at or before the last time counts for the position and does not reach the model."""
    result = planned([1, 2, 3, 4], times_h=[9, 10, 11, 10.5], committed=4, last_h=10)
    assert rows(result) == [3]
    assert (result.num_late, result.position, result.last_time_us) == (3, 8, 11 * HOUR)
    assert list(result.positions) == [7]


def test_a_gap_steps_the_model_through_missing_rows():
    """A gap of k steps puts k - 1 rows of NaN before the row that ends it."""
    result = planned([1, 2], times_h=[13, 15], last_h=10)
    assert rows(result) == [None, None, 1, None, 2]
    assert list(result.observed) == [2, 4]
    assert result.num_missing_steps == 3


def test_a_first_row_ends_no_gap():
    """Before the first row there is nothing to be missing."""
    assert rows(planned([1], times_h=[1000])) == [1]


def test_a_gap_inserts_at_most_the_limit():
    """A longer gap counts as one of `max_gap_steps`."""
    assert planned([1], times_h=[1000], last_h=0).num_missing_steps == LIMITS.max_gap_steps


def test_a_row_a_little_early_or_late_is_still_the_next_step():
    """Jitter below half a step inserts nothing."""
    assert planned([1, 2, 3], times_h=[10.9, 12.2, 12.6], last_h=10).num_missing_steps == 0


def test_gaps_that_make_too_many_steps_are_refused():
    """A chunk cannot be made to step without bound by times far apart."""
    with pytest.raises(InvalidRequest, match="at most 10 steps"):
        planned([1, 2, 3], times_h=[0, 6, 12], limits=StepLimits(5, 10))


def _one_by_one(values, times_h, committed, last_h):
    """The semantics written out a row at a time."""
    stepped, late, last = [], 0, last_h
    for value, time in zip(values, times_h, strict=True):
        if last is not None and time <= last:
            late += 1
            continue
        if last is not None:
            stepped += [None] * (min(max(round(time - last), 1), LIMITS.max_gap_steps + 1) - 1)
        stepped.append(value)
        last = time
    return stepped, late, committed + len(values), last


@given(
    times_h=st.lists(st.integers(0, 12), min_size=1, max_size=12),
    committed=st.integers(0, 5),
    last_h=st.none() | st.integers(0, 6),
)
def test_columns_mean_what_rows_one_by_one_mean(times_h, committed, last_h):
    """The vectorised plan equals the row-by-row reading of the rules."""
    values = [float(index) for index in range(len(times_h))]
    result = planned(values, times_h, committed=committed, last_h=last_h)
    stepped, late, position, last = _one_by_one(values, times_h, committed, last_h)
    assert rows(result) == stepped
    assert (result.num_late, result.position) == (late, position)
    assert result.last_time_us == (None if last is None else last * HOUR)


@given(st.lists(st.integers(0, 30), min_size=2, max_size=10), st.integers(1, 9))
def test_a_chunk_cut_in_two_plans_the_same_steps(times_h, cut):
    """Cutting rows into two chunks changes neither the steps nor the counts."""
    values = [float(index) for index in range(len(times_h))]
    cut = min(cut, len(values))
    whole = planned(values, times_h)
    first = planned(values[:cut], times_h[:cut]) if cut else None
    rest_values, rest_times = values[cut:], times_h[cut:]
    if not rest_values:
        return
    last = None if first.last_time_us is None else first.last_time_us / HOUR
    second = planned(rest_values, rest_times, committed=first.position, last_h=last)
    assert rows(first) + rows(second) == rows(whole)
    assert first.num_late + second.num_late == whole.num_late
    assert second.position == whole.position
