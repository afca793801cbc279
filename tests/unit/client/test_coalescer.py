"""Which calls go into a frame together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecast.coalescer import Coalescer, RowCall, columns_of
from statecast.columns import TIME_US, VALUE, unpack
from statecast.model import Feature, Model
from statecast.v1.forecast_pb2 import REPLY_LAST, REPLY_NONE

MODEL = Model("m", 1, "", "lstm", (Feature("y", False),), "h", 24, 4, (0.1, 0.5), "")
TIME = np.datetime64("1970-01-01T00:00:01", "us")
PLENTY = 1 << 20


def _call(number, session_id="a", rows=0.0, times=None, reply=REPLY_NONE, horizon=None, model=MODEL):
    return RowCall(number, session_id, rows, times, reply, horizon, None, model)


def _holding(calls, max_rows=100, max_bytes=PLENTY):
    coalescer = Coalescer(max_rows, max_bytes)
    for call in calls:
        coalescer.add(call)
    return coalescer


def _numbers(calls):
    return [call.number for call in calls]


_kinds = st.sampled_from([(REPLY_NONE, None, None), (REPLY_LAST, None, None), (REPLY_LAST, 2, TIME)])


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3), _kinds), max_size=30), st.integers(1, 6))
def test_every_call_is_taken_once_in_its_sessions_order(drawn, max_rows):
    """A frame has calls of one kind, no more rows than may be, and no call before one that it follows."""
    calls = [
        _call(number, session_id, np.zeros(length), times and np.repeat(times, length), reply, horizon)
        for number, (session_id, length, (reply, horizon, times)) in enumerate(drawn)
    ]
    coalescer, taken = _holding(calls, max_rows), []
    while coalescer:
        frame = coalescer.take(MODEL, PLENTY)
        assert len({(call.reply, call.horizon, call.timed) for call in frame}) == 1
        assert sum(call.num_rows for call in frame) <= max_rows or len(frame) == 1
        assert _numbers(frame) == sorted(_numbers(frame))
        taken += frame
    assert sorted(_numbers(taken)) == list(range(len(calls)))
    for session_id in "abc":
        mine = [call.number for call in taken if call.session_id == session_id]
        assert mine == sorted(mine)


def test_a_frame_is_filled_past_calls_of_another_kind():
    """Sessions that only observe do not wait for those that want a forecast, nor the other way round."""
    calls = [
        _call(0, "a"),
        _call(1, "b", reply=REPLY_LAST),
        _call(2, "c"),
        _call(3, "b"),
        _call(4, "a"),
        _call(5, "d", reply=REPLY_LAST),
    ]
    coalescer = _holding(calls)
    assert [_numbers(coalescer.take(MODEL, PLENTY)) for _ in range(3)] == [[0, 2, 4], [1, 5], [3]]


def test_a_message_bounds_a_frame_too():
    """Half a message holds so many rows; a call that is larger by itself still goes, alone."""
    row_bytes = 32 + 8
    coalescer = _holding([_call(number) for number in range(10)], max_bytes=2 * 4 * row_bytes)
    assert len(coalescer.take(MODEL, PLENTY)) == 4
    coalescer = _holding([_call(0, rows=np.zeros(1000)), _call(1)], max_bytes=1000)
    assert _numbers(coalescer.take(MODEL, PLENTY)) == [0]


def test_forecasts_that_come_back_bound_a_frame():
    """Four steps of two levels are 32 bytes a row, more than its one value; one step is as large as that."""
    budget = 2 * 3 * (32 + 32)
    calls = [_call(number, reply=REPLY_LAST) for number in range(10)]
    assert len(_holding(calls, max_bytes=budget).take(MODEL, PLENTY)) == 3
    calls = [_call(number, reply=REPLY_LAST, horizon=1) for number in range(10)]
    assert len(_holding(calls, max_bytes=budget).take(MODEL, PLENTY)) == 4


def test_what_is_put_back_comes_first():
    """Calls whose frame could not be made stand where they stood."""
    coalescer = _holding([_call(number) for number in range(4)], max_rows=2)
    coalescer.put_back(coalescer.take(MODEL, PLENTY))
    assert coalescer.has_any_before(1)
    assert _numbers(coalescer.take(MODEL, PLENTY)) == [0, 1]
    assert not coalescer.has_any_before(2)
    assert _numbers(coalescer.take_all()) == [2, 3]
    assert not coalescer.has_any_before(2)


def test_the_columns_of_calls_hold_their_rows_in_order():
    """Calls of several rows lie beside calls of one, with their times."""
    calls = [_call(0, "a", 1.0, TIME), _call(1, "b", [2.0, np.nan], [TIME + 1, TIME + 2])]
    columns = columns_of(calls, np.array([7, 9], np.uint32), MODEL)
    assert columns.handles.tolist() == [7, 9]
    assert columns.lengths.tolist() == [1, 2]
    np.testing.assert_array_equal(unpack(columns.values, VALUE, ""), [1, 2, np.nan])
    assert unpack(columns.times_us, TIME_US, "").tolist() == [1_000_000, 1_000_001, 1_000_002]


def test_a_call_is_checked_as_soon_as_the_model_is_known():
    """At once, or when its frame is made; until then it holds a copy of its rows."""
    with pytest.raises(ValueError, match="rows: expected"):
        _call(0, rows=[[1, 2]])
    with pytest.raises(ValueError, match="horizon: expected 1 to 4"):
        _call(0, horizon=5)
    buffer = np.ones(1)
    early = _call(0, rows=buffer, model=None)
    wrong = _call(1, rows=[[1, 2]], model=None)
    buffer[0] = 7
    assert early.chunk(MODEL).values.tolist() == [[1]]
    with pytest.raises(ValueError, match="rows: expected"):
        wrong.chunk(MODEL)


def test_a_call_is_checked_again_when_the_model_gets_other_features():
    """A new version with two features does not read half a row."""
    wide = Model("m", 2, "", "lstm", (Feature("y", False), Feature("x", False)), "h", 24, 4, (0.5,), "")
    call = _call(0)
    with pytest.raises(ValueError, match="for the features y, x"):
        call.chunk(wide)
