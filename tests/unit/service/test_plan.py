"""Positions, duplicates, late rows and gaps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.frequency import Frequency
from service.engine.runner import Reply
from service.errors import InvalidRequest, PositionConflict
from service.sessions.batch import Part, join
from service.sessions.frame import NO_POSITION, Frame
from service.sessions.plan import StepLimits, plan, plan_batch
from service.store.contract import NO_TIME

HOUR = 3_600_000_000
HOURLY = Frequency.parse("h")
LIMITS = StepLimits(max_gap_steps=5, max_steps=100)


def planned(values, times_h=None, position=None, committed=0, last_h=None, limits=LIMITS):
    return plan(
        np.array(values, np.float64).reshape(-1, 1),
        None if times_h is None else (np.array(times_h) * HOUR).astype(np.int64),
        NO_POSITION if position is None else position,
        committed,
        NO_TIME if last_h is None else int(last_h * HOUR),
        HOURLY,
        limits,
    )


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
    kept = last_h if result.last_time_us == NO_TIME else result.last_time_us // HOUR
    assert kept == last


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
    last = None if first.last_time_us == NO_TIME else first.last_time_us / HOUR
    second = planned(rest_values, rest_times, committed=first.position, last_h=last)
    assert rows(first) + rows(second) == rows(whole)
    assert first.num_late + second.num_late == whole.num_late
    assert second.position == whole.position


@st.composite
def entries(draw):
    """What one session has consumed, and rows for it: (values, times, position, committed, last time)."""
    num_rows = draw(st.integers(1, 4))
    values = draw(st.lists(st.integers(-9, 9), min_size=num_rows, max_size=num_rows))
    times = draw(st.none() | st.lists(st.integers(0, 9), min_size=num_rows, max_size=num_rows))
    if times is not None and draw(st.booleans()):
        times = list(range(times[0], times[0] + num_rows))
    committed = draw(st.integers(0, 3))
    position = draw(st.none() | st.just(committed) | st.integers(0, 4))
    return values, times, position, committed, draw(st.none() | st.integers(0, 9))


@given(st.lists(entries(), min_size=1, max_size=6), st.sampled_from(list(Reply)))
def test_a_batch_plans_what_its_entries_plan_alone(many, reply):
    """Sorting a batch by columns gives every entry the rows, counts and refusals that `plan` gives it."""
    parts = []
    for values, times, position, _, _ in many:
        column = None if times is None else np.array(times) * HOUR
        frame = Frame(
            np.array([0]),
            np.array([len(values)]),
            np.array([NO_POSITION if position is None else position]),
            column,
            np.array(values, np.float64).reshape(-1, 1),
            reply,
            lambda _: None,
        )
        parts.append(Part(frame))
    committed = np.array([consumed for _, _, _, consumed, _ in many])
    last = np.array([NO_TIME if last_h is None else last_h * HOUR for *_, last_h in many])
    found = plan_batch(join(parts), committed, last, HOURLY, LIMITS)
    counts = np.zeros((3, len(many)), int) if found.counts is None else found.counts
    stepped = {
        int(entry): (rows_of, group.reply)
        for group in found.groups
        for entry, rows_of in zip(
            range(len(many)) if group.entries is None else group.entries, group.rows, strict=True
        )
    }
    for entry, (values, times, position, consumed, last_h) in enumerate(many):
        try:
            alone = planned(values, times, position, consumed, last_h)
        except PositionConflict as error:
            assert str(found.refused[entry]) == str(error)
            assert entry not in stepped
            continue
        assert entry not in found.refused
        assert found.positions[entry] == alone.position
        alone_counts = [alone.num_skipped, alone.num_late, alone.num_missing_steps]
        assert counts[:, entry].tolist() == alone_counts
        last_time = NO_TIME if found.last_times_us is None else found.last_times_us[entry]
        assert last_time == alone.last_time_us
        if len(alone.rows):
            rows_of, reply_of = stepped[entry]
            np.testing.assert_array_equal(rows_of, alone.rows)
            assert reply_of is reply
        else:
            assert entry in found.standing
            assert entry not in stepped
