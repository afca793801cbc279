"""What callers may pass as rows and times."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from statecast.model import Feature, Model
from statecast.rows import as_chunk, as_horizon, as_reply, as_times_us, as_values


def _model(*features):
    return Model("m", 1, "", "lstm", tuple(Feature(name, False) for name in features), "h", 24, 4, (0.5,), "")


ONE, TWO = _model("y"), _model("y", "price")


@pytest.mark.parametrize(
    ("model", "rows", "expected"),
    [
        (ONE, 5, [[5]]),
        (ONE, np.float32(5), [[5]]),
        (ONE, [1, 2, 3], [[1], [2], [3]]),
        (ONE, [[1], [2]], [[1], [2]]),
        (ONE, None, [[np.nan]]),
        (ONE, [1, None], [[1], [np.nan]]),
        (TWO, [1, 2], [[1, 2]]),
        (TWO, [[1, 2]], [[1, 2]]),
        (TWO, [[1, 2], [3, np.nan]], [[1, 2], [3, np.nan]]),
        (TWO, np.asfortranarray([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    ],
)
def test_rows_become_two_axes(model, rows, expected):
    """A number, a vector and a matrix each have one reading, which the model's width decides."""
    values = as_values(rows, model)
    assert values.dtype == np.float64
    assert values.flags.c_contiguous
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(
    ("model", "rows", "words"),
    [
        (ONE, [], "at least one row"),
        (ONE, [[1, 2]], r"found shape \(1, 2\)"),
        (ONE, "5", "expected numbers"),
        (ONE, ["5"], "expected numbers"),
        (ONE, [[1], [2, 3]], "expected numbers"),
        (ONE, ["a", 1], "expected numbers"),
        (TWO, 5, r"\(2,\) for one row"),
        (TWO, [1, 2, 3], "y, price"),
        (TWO, [[1], [2]], r"found shape \(2, 1\)"),
        (TWO, np.zeros((0, 2)), "at least one row"),
        (TWO, np.zeros((1, 1, 2)), r"found shape \(1, 1, 2\)"),
    ],
)
def test_other_rows_are_refused(model, rows, words):
    """What has no reading, or two, is an error that says what was expected and found."""
    with pytest.raises(ValueError, match=words):
        as_values(rows, model)


def test_rows_are_a_copy():
    """A caller may fill the same buffer again while its last rows are still in doubt."""
    buffer = np.zeros((1, 2))
    values = as_values(buffer, TWO)
    buffer[:] = 7
    assert not values.any()


NOON = datetime(2024, 5, 1, 12)
NOON_US = 1_714_564_800_000_000


@pytest.mark.parametrize(
    "times",
    [
        NOON,
        [NOON],
        [NOON.replace(tzinfo=UTC)],
        [datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))],
        np.datetime64("2024-05-01T12"),
        np.array(["2024-05-01T12:00:00.000000000"], "datetime64[ns]"),
    ],
)
def test_times_become_microseconds(times):
    """Every way to say noon UTC is the same number."""
    np.testing.assert_array_equal(as_times_us(times, 1), [NOON_US])


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([NOON, NOON], "expected 1, one for each of rows"),
        ([NOON_US], "datetime64 or datetimes"),
        (["2024-05-01"], "datetime64 or datetimes"),
        ([None], "found None"),
        (np.array(["NaT"], "datetime64[us]"), "NaT at row 0"),
    ],
)
def test_other_times_are_refused(times, words):
    """Numbers could be any unit and text any format: only times are times."""
    with pytest.raises(ValueError, match=words):
        as_times_us(times, 1)


def test_chunks_compare_bit_for_bit():
    """Missing values equal each other; times count, and so does their absence."""
    chunk = as_chunk([1, None], None, ONE)
    assert chunk.same_as(as_chunk([1, np.nan], None, ONE))
    assert not chunk.same_as(as_chunk([1, 2], None, ONE))
    timed = as_chunk([5], [NOON], ONE)
    assert not timed.same_as(as_chunk([5], None, ONE))
    assert not as_chunk([5], None, ONE).same_as(timed)
    assert not timed.same_as(as_chunk([5], [NOON + timedelta(1)], ONE))
    assert timed.same_as(as_chunk([5], [NOON], ONE))


def test_reply_and_horizon_are_checked_before_anything_is_sent():
    """Both have few right values, which the error names."""
    with pytest.raises(ValueError, match="last, each, none"):
        as_reply("all")
    assert as_horizon(None, ONE) == 0
    for horizon in (0, 5):
        with pytest.raises(ValueError, match="1 to 4"):
            as_horizon(horizon, ONE)


SYMBOLS = Model("m", 1, "", "gru", (Feature("symbol", False, ("a", "b", "c")),), "s", 60, 1, (), "")
MIXED = Model(
    "m",
    1,
    "",
    "gru",
    (Feature("load", False), Feature("day", False, ("work", "rest"))),
    "h",
    24,
    4,
    (0.5,),
    "",
)


@pytest.mark.parametrize(
    ("model", "rows", "expected"),
    [
        (SYMBOLS, "b", [[1]]),
        (SYMBOLS, list("cab"), [[2], [0], [1]]),
        (SYMBOLS, np.array(["a", "b"]), [[0], [1]]),
        (SYMBOLS, [["a"], [None]], [[0], [np.nan]]),
        (SYMBOLS, [2, 0], [[2], [0]]),
        (MIXED, [1.5, "rest"], [[1.5, 1]]),
        (MIXED, [[1.5, "work"], [None, "rest"]], [[1.5, 0], [np.nan, 1]]),
    ],
)
def test_categories_may_be_written_out(model, rows, expected):
    """Text becomes the index of the category in its column; numbers stay what they are."""
    np.testing.assert_array_equal(as_values(rows, model), expected)


@pytest.mark.parametrize(
    ("model", "rows", "words"),
    [
        (SYMBOLS, "d", r"rows, feature symbol: expected one of \['a', 'b', 'c'\], found 'd'"),
        (MIXED, [1, "holiday"], r"feature day: expected one of \['work', 'rest'\], found 'holiday'"),
        (MIXED, ["rest", "rest"], "feature load: expected a number, found 'rest'"),
    ],
)
def test_text_that_is_no_category_is_refused(model, rows, words):
    """The error names the feature, its categories and what was found."""
    with pytest.raises(ValueError, match=words):
        as_values(rows, model)
