"""The ring and what it says: against plain numpy over the last rows."""

import math

import numpy as np
import pytest
import torch

from models.calendar import Calendar
from models.filling import kept, recalled
from models.frequency import LONGEST_WINDOW, Frequency
from models.scaling import Unit
from models.skip import SeasonalSkip
from models.state import initial_state
from models.window import Window

_LENGTH, _SEASONS = 12, (3, 6)


def _unit(shape):
    ones = torch.ones(*shape, 1, dtype=torch.float64)
    return Unit(7.0 * ones, 2.0 * ones, ones)


def _series(seed=0, num_rows=40, level=1e6):
    random = np.random.default_rng(seed)
    values = level + random.normal(size=(2, num_rows)).cumsum(axis=1)
    values[0, [5, 6, 20]] = np.nan
    values[1, :4] = np.nan
    return values


def _first(values):
    """Of each series its first value, (B, 1, 1)."""
    return torch.tensor([[[lane[~np.isnan(lane)][0]]] for lane in values], dtype=torch.float64)


def _read(window, values, state=None, series=None):
    """Read rows of a series; the first rows where it is not given."""
    state = initial_state(window.state_init(), len(values)) if state is None else state
    first = _first(values if series is None else series)
    return window(torch.from_numpy(values), first, _unit(values.shape), state)


def _habits(window, values):
    recent, _ = _read(window, values)
    return recent.habits, recent.values


def _location(window, skip, habits, values, last):
    """After one row, (B, 1, K)."""
    windows = window.windows(values, 1, last)
    return skip(windows, habits.at(last), torch.zeros(len(values), 1, 4)).location.detach()


def test_habits_are_those_of_the_last_rows():
    """Level, deviation and each lag's error, by numpy over the rows that have a season before them."""
    values = _series()
    window = Window(_LENGTH, _SEASONS)
    found, _ = _habits(window, values)
    width = _LENGTH - max(_SEASONS)
    for lane in range(2):
        for row in range(values.shape[1]):
            past = values[lane, max(row + 1 - width, 0) : row + 1]
            if np.isnan(past).all():
                assert found.level[lane, row, 0] == 7.0
                continue
            assert found.level[lane, row, 0].item() == pytest.approx(np.nanmean(past), rel=1e-12)
            changes = {
                lag: np.array(
                    [
                        abs(values[lane, at] - values[lane, at - lag])
                        for at in range(max(row + 1 - width, lag), row + 1)
                    ]
                )
                for lag in window.lags
            }
            steps = changes[1][~np.isnan(changes[1])]
            if not steps.size:
                assert found.deviation[lane, row, 0] == 2.0
                continue
            deviation = max(np.nanstd(past), steps.mean() / 2)
            assert found.deviation[lane, row, 0].item() == pytest.approx(deviation, rel=1e-4)
            for at, lag in enumerate(window.lags):
                known = changes[lag][~np.isnan(changes[lag])]
                expected = (known.sum() + deviation) / (len(known) + 1)
                assert found.errors[lane, row, at].item() == pytest.approx(expected, rel=1e-4)


def test_a_window_of_equal_values_has_the_scalers_unit():
    """Nothing changed: the sums say so exactly, whatever lies elsewhere in the chunk."""
    values = np.full((1, 30), 0.1)
    values[0, 20:] = 1e9
    found, _ = _habits(Window(_LENGTH, _SEASONS), values)
    assert (found.deviation[0, :20, 0] == 2.0).all()


@pytest.mark.parametrize("chunk", [1, 5, 7])
def test_sums_forget_what_has_left(chunk):
    """A huge value takes digits from the sums while it is there; two windows on, nothing of it is left."""
    window = Window(_LENGTH, _SEASONS)
    values = _series(num_rows=70, level=3.0)
    hit = values.copy()
    hit[:, 20] = 1e15
    found = []
    for series in (values, hit):
        state = None
        for start in range(0, series.shape[1], chunk):
            recent, state = _read(window, series[:, start : start + chunk], state, series)
        found.append((recent.habits, state))
    (expected, kept_sums), (habits, sums) = found
    for part in ("level", "deviation", "errors"):
        torch.testing.assert_close(getattr(habits, part), getattr(expected, part), rtol=1e-9, atol=0)
    torch.testing.assert_close(sums["window_sums"], kept_sums["window_sums"], rtol=1e-9, atol=1e-9)


def test_sums_of_a_history_are_those_of_its_rows():
    """A window that is told what came before says what one says that has read it."""
    window = Window(_LENGTH, _SEASONS)
    values = _series()
    recent, _ = _read(window, values)
    state = window.holding(torch.from_numpy(values[:, 18:30]))
    told, _ = _read(window, values[:, 30:], state)
    for part in ("level", "deviation", "errors"):
        found, expected = getattr(told.habits, part), getattr(recent.habits, part)[:, 30:]
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_habits_are_told_by_the_state_alone():
    """After any chunk, what a forecast is read from is what the last row saw."""
    window = Window(_LENGTH, _SEASONS)
    values = _series()
    recent, state = _read(window, values)
    unit = _unit((len(values), 1))
    held = window.held(_first(values), unit, state)
    for part in ("level", "deviation", "errors"):
        torch.testing.assert_close(
            getattr(held, part), getattr(recent.habits, part)[:, -1:], rtol=1e-6, atol=0
        )


def test_missing_values_of_a_window_take_the_mean_of_their_phase():
    """A shape is about the level; a phase never seen is the level."""
    values = np.array([[3.0, 5.0, 8.0] * 4 + [3.0, 5.0, 9.0]])
    values[0, 7] = np.nan
    window = Window(_LENGTH, _SEASONS)
    habits, extended = _habits(window, values)
    level = habits.level[:, 14]
    shape = window.shapes(window.windows(extended, 1, torch.tensor([14])), level)[:, 0].numpy()
    raw = shape + level.item()
    expected = values[0, 3:].copy()
    expected[7 - 3] = 5.0
    np.testing.assert_allclose(raw, expected, atol=1e-5)


@pytest.mark.parametrize("horizon", [2, 7])
def test_a_skip_that_learned_nothing_prefers_the_better_season(horizon):
    """A series that repeats every 6 rows and not every 3: the forecast is the value 6 rows before."""
    pattern = np.array([0.0, 4.0, 1.0, 9.0, 2.0, 5.0])
    values = np.tile(pattern, 6)[None]
    window = Window(_LENGTH, _SEASONS)
    habits, extended = _habits(window, values)
    skip = SeasonalSkip(window, 4, horizon, maps_window=True)
    last = torch.tensor([values.shape[1] - 1])
    location = _location(window, skip, habits, extended, last)
    expected = [pattern[step % 6] for step in range(horizon)]
    np.testing.assert_allclose(location[0, 0].numpy(), expected, atol=0.15)


def test_a_row_without_a_time_is_one_step_on():
    """The clock counts through gaps, from chunk to chunk; before any time there is no phase."""
    hour = 3_600_000_000.0
    start = 1.7e15 // hour * hour
    times = start + hour * np.arange(60)
    calendar = Calendar(Frequency.parse("h"))
    state = initial_state(calendar.state_init(), 1)
    whole, _ = calendar(torch.from_numpy(times[None, :, None]), state)
    gaps = times.copy()
    gaps[[3, 4, 20, 21, 22, 59]] = np.nan
    parts = []
    for chunk in np.split(gaps, [4, 21, 30]):
        phases, state = calendar(torch.from_numpy(chunk[None, :, None]), state)
        parts.append(phases)
    np.testing.assert_allclose(torch.cat(parts, dim=1), whole, atol=1e-6)
    hours = (times / hour) % 24
    np.testing.assert_allclose(whole[0, :, 0], np.sin(2 * np.pi * hours / 24), atol=1e-5)
    unknown, after = calendar(
        torch.full((1, 2, 1), math.nan, dtype=torch.float64), initial_state(calendar.state_init(), 1)
    )
    assert (unknown == 0).all()
    assert (after["clock"] == 0).all()


def test_a_state_keeps_zero_apart_from_nothing():
    values = torch.tensor([0.0, math.nan, -3.5], dtype=torch.float64)
    again = recalled(kept(values))
    assert torch.isnan(again[1])
    np.testing.assert_allclose(again[[0, 2]], [0.0, -3.5], atol=1e-20)


@pytest.mark.parametrize(
    ("alias", "seasons"),
    [
        ("h", (24, 168)),
        ("15min", (96, 672)),
        ("min", (60,)),
        ("D", (7,)),
        ("MS", (12,)),
        ("YS", (1,)),
        ("s", (60,)),
    ],
)
def test_seasons_fit_twice_into_the_longest_window(alias, seasons):
    found = Frequency.parse(alias).seasons
    assert found == seasons
    assert 2 * found[-1] <= LONGEST_WINDOW
