"""A series and its fan in characters."""

import math

import numpy as np
import pytest

from cli.fan_chart import Shown, fan_chart

FAN = np.array([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])
BLANK = "\u2800"


def _shown(values, fan=None):
    shown = Shown()
    for value in values:
        shown.add(value, 0, fan)
    return shown


def _dots(chart):
    """(lines, columns) of truth values: whether a character has a dot."""
    lines = [line.partition("┤")[2] for line in chart.splitlines() if "┤" in line]
    width = max(map(len, lines))
    return np.array([[character not in (BLANK, " ") for character in line.ljust(width)] for line in lines])


def test_a_row_is_held_against_the_forecast_before_it():
    """The first row had none; the second is within its step's outermost levels, the third is not."""
    shown = _shown([2.0, 2.5, 9.0], FAN)
    assert (shown.num_judged, shown.num_within) == (2, 1)
    assert math.isnan(shown.ghosts[0])
    assert list(shown.ghosts)[1:] == [2.0, 2.0]


def test_a_row_after_a_gap_is_held_against_its_own_step():
    """One missing step before it: the second step of the forecast; beyond the horizon nothing."""
    shown = _shown([2.0], FAN)
    shown.add(3.5, 1, FAN)
    shown.add(3.5, 2, None)
    assert list(shown.steps) == [0, 2, 5]
    assert list(shown.ghosts)[1] == 3.0
    assert math.isnan(shown.ghosts[2])


def test_a_missing_row_is_a_gap_in_the_line():
    """Nothing is drawn where no value came, and it is in no count."""
    shown = _shown([1.0] * 20 + [math.nan] * 20 + [1.0] * 20)
    dots = _dots(fan_chart(shown, 73, 10, in_colour=False)).any(axis=0)
    third = len(dots) // 3
    assert dots[: third - 2].all()
    assert not dots[third + 2 : 2 * third - 2].any()
    assert dots[2 * third + 2 : -2].all()
    assert shown.num_judged == 0


def test_the_fan_comes_after_the_newest_row():
    """Higher levels above lower ones, in the right part of the picture alone, whose ends are labelled."""
    values = [0.0] * 10
    fan = np.array([[-10.0, 0.0, 10.0]] * 10)
    chart = fan_chart(_shown(values, fan), 60, 12, in_colour=False)
    dots = _dots(chart)
    assert dots[:, -13:-11].any(axis=1).sum() > 8
    assert dots[:, 3].sum() == 1
    assert "10.6" in chart.splitlines()[0]
    assert chart.endswith("steps from the newest row: -9 .. +10")


@pytest.mark.parametrize("values", [[math.nan], [5.0], [math.nan, math.nan], [1e-300, 1e300]])
@pytest.mark.parametrize("fan", [None, FAN, np.full((3, 1), math.nan)])
def test_whatever_the_rows_there_is_a_picture(values, fan):
    """One row, none with a value, or values far apart: as many lines as were asked for."""
    assert len(fan_chart(_shown(values, fan), 40, 9, in_colour=False).splitlines()) == 9
