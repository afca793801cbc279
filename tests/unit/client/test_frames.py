"""Frames: columns out, columns in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecast.columns import (
    COUNT,
    FORECAST,
    HANDLE,
    LENGTH,
    POSITION,
    TIME_US,
    VALUE,
    pack,
    unpack,
)
from statecast.errors import InternalError, InvalidRequest, Overloaded
from statecast.frames import Columns, decode, first_positions
from statecast.v1 import forecast_pb2

LEVELS = (0.1, 0.9)
_numbers = st.floats(allow_nan=True, width=64)


@st.composite
def _frames(draw):
    """Entries of some sessions, several perhaps of the same one; times for all rows or none."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=6))
    handles = draw(st.lists(st.integers(0, 3), min_size=len(lengths), max_size=len(lengths)))
    num_rows, width = sum(lengths), draw(st.integers(1, 3))
    values = draw(st.lists(_numbers, min_size=num_rows * width, max_size=num_rows * width))
    times = draw(st.none() | st.lists(st.integers(-(2**62), 2**62), min_size=num_rows, max_size=num_rows))
    return handles, lengths, np.reshape(values, (num_rows, width)), times


@given(_frames(), st.integers(0, 2**63))
def test_a_frame_survives_the_wire(frame, frame_id):
    """What is packed and serialised comes out again, number by number."""
    handles, lengths, values, times = frame
    times_us = None if times is None else np.array(times)
    columns = Columns.of(handles, np.array(lengths), values, times_us, forecast_pb2.REPLY_EACH, 2)
    positions = np.arange(len(handles)) * 100
    sent = columns.message(frame_id, positions)
    message = forecast_pb2.Frame.FromString(sent.SerializeToString())
    assert message.id == frame_id
    assert unpack(message.handles, HANDLE, "").tolist() == handles
    assert unpack(message.positions, POSITION, "").tolist() == positions.tolist()
    one_each = set(lengths) == {1}
    assert unpack(message.lengths, LENGTH, "").tolist() == ([] if one_each else lengths)
    assert unpack(message.times_us, TIME_US, "").tolist() == (times or [])
    np.testing.assert_array_equal(unpack(message.values, VALUE, "").reshape(values.shape), values)
    assert (message.reply, message.horizon) == (forecast_pb2.REPLY_EACH, 2)
    assert len(sent.SerializeToString()) <= columns.num_bytes


@given(_frames(), st.lists(st.integers(0, 1000), min_size=4, max_size=4))
def test_entries_of_one_session_follow_each_other(frame, committed):
    """An entry starts where its session's entry before it ended, the first at the session's position."""
    handles, lengths, *_ = frame
    expected, reached = [], list(committed)
    for handle, length in zip(handles, lengths, strict=True):
        expected.append(reached[handle])
        reached[handle] += length
    before = np.array(committed)
    found = first_positions(np.array(handles, np.uint32), np.array(lengths), before)
    assert found.tolist() == expected
    assert before.tolist() == committed


@pytest.mark.parametrize(
    ("handles", "lengths", "num_rows", "words"),
    [
        ([], None, 1, "entries: expected at least one"),
        ([0, 1], [1], 2, "lengths: expected 2"),
        ([0, 1], [2, 0], 2, "expected at least 1, found 0 at 1"),
        ([0, 1], [2, 1], 2, "values: expected 3 rows, found 2"),
        ([0, 1], None, 3, "values: expected 2 rows, found 3"),
    ],
)
def test_columns_that_disagree_are_not_sent(handles, lengths, num_rows, words):
    """The error names the column."""
    with pytest.raises(ValueError, match=words):
        Columns.of(handles, lengths, np.zeros((num_rows, 1)), None, forecast_pb2.REPLY_LAST, 0)


def _response(**changes):
    """Three entries: two forecasts, refused, one forecast; of two steps each."""
    values = np.arange(3 * 2 * 2, dtype=np.float32)
    fields = {
        "frame_id": 5,
        "positions": pack([12, -1, 30], POSITION),
        "num_late": pack([1, 0, 0], COUNT),
        "num_forecasts": pack([2, 0, 1], COUNT),
        "forecast_positions": pack([10, 12, 30], POSITION),
        "forecasts": pack(values, FORECAST),
        "horizon": 2,
        "num_quantile_levels": 2,
        "model_version": 3,
        "entry_errors": [forecast_pb2.EntryError(entry=1, code=3, message="wrong", field="values")],
        **changes,
    }
    return forecast_pb2.StreamForecastsResponse(**fields)


def test_a_reply_gives_each_entry_its_own():
    """Forecasts, positions and counts go to their entries; the refused one is its error."""
    first, second, third = decode(_response(), 3, LEVELS)
    assert (first.position, first.num_late, first.num_skipped, first.model_version) == (12, 1, 0, 3)
    assert [forecast.position for forecast in first.forecasts] == [10, 12]
    np.testing.assert_array_equal(first.forecast.values, [[4, 5], [6, 7]])
    assert isinstance(second, InvalidRequest)
    assert second.field == "values"
    np.testing.assert_array_equal(third.forecast.quantile(0.9), [9, 11])


def test_columns_left_out_mean_what_the_proto_says():
    """No counts: one forecast for each entry that was not refused, made at its position; nothing late."""
    result = decode(
        _response(num_forecasts=b"", forecast_positions=b"", num_late=b"", forecasts=bytes(2 * 16)), 3, LEVELS
    )
    assert result.num_forecasts.tolist() == [1, 0, 1]
    assert result.forecast_positions.tolist() == [12, 30]
    assert not result.num_late.any()


@pytest.mark.parametrize(
    "changes",
    [
        {"positions": b""},
        {"positions": b"1234567"},
        {"num_late": pack([1], COUNT)},
        {"forecasts": bytes(4)},
        {"num_quantile_levels": 3},
        {"forecast_positions": pack([1], POSITION)},
        {"entry_errors": [forecast_pb2.EntryError(entry=3, code=3)]},
    ],
)
def test_a_reply_that_makes_no_sense_is_the_servers_fault(changes):
    """Columns that disagree are never read as something else."""
    with pytest.raises(InternalError, match="frame 5 makes no sense"):
        decode(_response(**changes), 3, LEVELS)


def test_entries_sent_again_leave_the_others_their_answers():
    """What came for the entries that were sent again stands in their places."""
    overloaded = forecast_pb2.EntryError(entry=1, code=8, message="full")
    earlier = decode(_response(entry_errors=[overloaded]), 3, LEVELS)
    assert isinstance(earlier.entry(1), Overloaded)
    later = decode(
        forecast_pb2.StreamForecastsResponse(
            frame_id=5, positions=pack([20], POSITION), num_skipped=pack([1], COUNT),
            forecasts=pack(np.arange(100, 104), FORECAST), horizon=2, num_quantile_levels=2,
        ),
        1,
        LEVELS,
    )  # fmt: skip
    result = earlier.amended(np.array([1]), later)
    assert not result.errors
    first, second, third = result
    assert [forecast.position for forecast in first.forecasts] == [10, 12]
    assert (first.num_skipped, first.num_late) == (0, 1)
    assert (second.position, second.num_skipped) == (20, 1)
    np.testing.assert_array_equal(second.forecast.values, [[100, 101], [102, 103]])
    np.testing.assert_array_equal(third.forecast.values, [[8, 9], [10, 11]])


def test_an_entry_refused_when_sent_again_is_refused_where_it_stood():
    """Its number in the frame that was sent again is not its number in the first."""
    overloaded = [forecast_pb2.EntryError(entry=entry, code=8, message="full") for entry in (0, 2)]
    earlier = decode(
        forecast_pb2.StreamForecastsResponse(
            positions=pack([-1, 7, -1], POSITION), num_forecasts=bytes(12), entry_errors=overloaded
        ),
        3,
        LEVELS,
    )
    wrong = [forecast_pb2.EntryError(entry=1, code=3, message="wrong")]
    later = decode(
        forecast_pb2.StreamForecastsResponse(
            positions=pack([5, -1], POSITION), num_forecasts=bytes(8), entry_errors=wrong
        ),
        2,
        LEVELS,
    )
    result = earlier.amended(np.array([0, 2]), later)
    assert result.positions.tolist() == [5, 7, -1]
    assert list(result.errors) == [2]
    assert isinstance(result.entry(2), InvalidRequest)


def test_an_earlier_answer_without_forecasts_is_kept_too():
    """A reply in which every entry was refused says nothing of the forecasts' shape."""
    errors = [forecast_pb2.EntryError(entry=0, code=8, message="full")]
    nothing = forecast_pb2.StreamForecastsResponse(positions=pack([-1], POSITION), entry_errors=errors)
    everything = forecast_pb2.StreamForecastsResponse(
        positions=pack([1], POSITION), forecasts=bytes(16), horizon=2, num_quantile_levels=2
    )
    result = decode(nothing, 1, LEVELS).amended(np.array([0]), decode(everything, 1, LEVELS))
    assert result.entry(0).forecast.values.shape == (2, 2)


@given(_frames(), st.data())
def test_some_entries_of_a_frame_are_a_frame(frame, data):
    """The rows and times of the entries that are kept, and no others."""
    handles, lengths, values, times = frame
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(handles), max_size=len(handles))))
    times_us = None if times is None else np.array(times)
    columns = Columns.of(handles, np.array(lengths), values, times_us, forecast_pb2.REPLY_LAST, 0).only(keep)
    rows = np.repeat(keep, lengths)
    assert columns.handles.tolist() == np.array(handles)[keep].tolist()
    assert columns.lengths.tolist() == np.array(lengths)[keep].tolist()
    assert columns.values == pack(values[rows], VALUE)
    assert columns.times_us == (b"" if times_us is None else pack(times_us[rows], TIME_US))
