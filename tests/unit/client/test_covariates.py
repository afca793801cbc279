"""Rows with what is known ahead, as callers write them."""

import numpy as np
import pytest

from statecast.model import Feature, Model
from statecast.rows import as_values, with_future

NAN = np.nan


def _model(*future, horizon=3):
    features = (
        Feature("y", False),
        *(Feature(name, False, ("no", "yes") if name == "holiday" else (), "future") for name in future),
    )
    return Model("m", 1, "", "gru", features, "h", 24, horizon, (0.5,), "{}")


def test_rows_without_what_is_ahead_are_as_wide():
    """Nothing is known then."""
    np.testing.assert_array_equal(as_values([[1, 2]], _model("promo")), [[1, 2, NAN, NAN, NAN]])
    np.testing.assert_array_equal(as_values([1, 2, 3, 4, 5], _model("promo")), [[1, 2, 3, 4, 5]])


@pytest.mark.parametrize("future", [[[3, 4, 5]], [[[3], [4], [5]]], [3, 4, 5], [[3], [4], [5]]])
def test_one_row_and_one_feature(future):
    """The axes of one row and of one feature may be left out."""
    np.testing.assert_array_equal(with_future(_model("promo"), [1, 2], future), [[1, 2, 3, 4, 5]])


def test_several_features_and_fewer_steps():
    """Each feature's steps lie together; those that are not given are not known."""
    future = np.array([[[1, 10], [2, 20]], [[3, 30], [4, 40]]])
    found = with_future(_model("promo", "rain"), [[0, 0, 0], [9, 9, 9]], future)
    np.testing.assert_array_equal(
        found, [[0, 0, 0, 1, 2, NAN, 10, 20, NAN], [9, 9, 9, 3, 4, NAN, 30, 40, NAN]]
    )


def test_categories_may_be_written_as_text():
    """Among what is known ahead as well."""
    found = with_future(_model("holiday"), [[5, "no"]], [["yes", None, "no"]])
    np.testing.assert_array_equal(found, [[5, 0, 1, NAN, 0]])
    with pytest.raises(ValueError, match=r"feature holiday: expected one of \['no', 'yes'\], found 'maybe'"):
        with_future(_model("holiday"), [[5, "no"]], [["maybe", None, "no"]])


@pytest.mark.parametrize(
    ("future", "found"),
    [([[1, 2, 3, 4]], r"\(1, 4\)"), ([[1, 2], [3, 4]], r"\(2, 2\)"), (7, r"\(\)"), ([], r"\(0,\)")],
)
def test_other_shapes_say_what_was_expected(future, found):
    """Rows, steps and features."""
    with pytest.raises(ValueError, match=rf"\(1, 1 to 3 steps, 1\) for promo; found {found}"):
        with_future(_model("promo"), [1, 2], future)


def test_a_model_without_such_features_takes_none():
    """It would be lost in silence."""
    with pytest.raises(ValueError, match="no feature of m is known ahead"):
        with_future(_model(), [1], [[1, 2, 3]])
