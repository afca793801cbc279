"""Calibration: intervals that are wrong come right, and what must not move them does not."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.calibration import Calibration
from models.calibration_grid import Grid
from models.heads.deviates import normal_deviates
from models.spread import Spread
from models.state import State, initial_state

LEVELS = (0.1, 0.5, 0.9)
Floats = npt.NDArray[np.float64]


def _spread(shape: tuple[int, int], horizon: int, levels: tuple[float, ...] = LEVELS) -> Spread:
    """The same standard normal forecast after each row (B, T)."""
    normal = torch.tensor(normal_deviates(np.array(levels)), dtype=torch.float32)
    zero = torch.zeros(*shape, 1, dtype=torch.float64)
    return Spread(normal.expand(*shape, horizon, len(levels)), zero + 1, zero)


def _stream(calibration: Calibration, y: Floats, state: State | None = None) -> tuple[Floats, State]:
    """Corrected forecasts (B, T, K, Q) of a standard normal one, streamed along y (B, T)."""
    spread = _spread((y.shape[0], y.shape[1]), calibration.grid.horizon, _levels(calibration))
    state = initial_state(calibration.state_init(), len(y)) if state is None else state
    offsets, after = calibration(torch.from_numpy(y)[..., None], spread, state)
    return calibration.corrected(spread, offsets).raw.double().numpy(), after


def _levels(calibration: Calibration) -> tuple[float, ...]:
    return tuple((calibration.tracker.levels[0].double() + 0.5).round(decimals=6).tolist())


def _covered(forecast: Floats, y: Floats, step: int, rows: slice) -> float:
    """Share of values within the outermost levels of the forecasts made for `rows`, `step` rows before."""
    made = forecast[:, :-step, step - 1]
    inside = (y[:, step:] >= made[..., 0]) & (y[:, step:] <= made[..., -1])
    return float(inside[:, rows].mean())


@pytest.fixture(scope="module")
def drift() -> tuple[Floats, Floats]:
    """Eight series whose noise doubles after row 1000, and their corrected forecasts."""
    y = np.random.default_rng(0).normal(size=(8, 2000))
    y[:, 1000:] *= 2
    return y, _stream(Calibration(LEVELS, 4), y)[0]


@pytest.mark.parametrize("step", [1, 2, 3, 4])
def test_coverage_comes_back_after_a_drift(drift: tuple[Floats, Floats], step: int) -> None:
    """When the noise doubles, the 80 % interval covers 80 % again within a few hundred rows."""
    y, forecast = drift
    assert _covered(forecast, y, step, slice(500, 990)) == pytest.approx(0.8, abs=0.02)
    assert _covered(forecast, y, step, slice(1000, 1050)) < 0.68
    assert _covered(forecast, y, step, slice(1300, 1990)) == pytest.approx(0.8, abs=0.03)


def test_coverage_stays_lost_without_calibration(drift: tuple[Floats, Floats]) -> None:
    """The same forecasts, uncorrected, cover far less than they promise as long as the noise is doubled."""
    y, _ = drift
    own = _spread((8, 2000), 4).raw.double().numpy()
    assert _covered(own, y, 1, slice(500, 990)) == pytest.approx(0.8, abs=0.02)
    assert _covered(own, y, 1, slice(1300, 1990)) < 0.55


def test_far_steps_are_corrected_too() -> None:
    """Steps between those that are judged, and those of which only some forecasts wait, cover as promised."""
    y = 2 * np.random.default_rng(1).normal(size=(8, 2500))
    forecast, _ = _stream(Calibration(LEVELS, 48), y)
    for step in (1, 5, 16, 23, 48):
        assert _covered(forecast, y, step, slice(1000, 2400)) == pytest.approx(0.8, abs=0.03), step


@pytest.mark.parametrize("step", [1, 8, 24])
def test_intervals_that_are_right_stay_as_wide_where_errors_overlap(step: int) -> None:
    """Of a random walk, whose errors 24 steps ahead are nearly those of the row before, 80 % stay covered."""
    y = np.random.default_rng(7).normal(size=(16, 3000)).cumsum(axis=1)
    steps = torch.arange(1, 25, dtype=torch.float32).sqrt()[:, None]
    normal = torch.tensor(normal_deviates(np.array(LEVELS)), dtype=torch.float32)
    level = torch.from_numpy(y)[..., None]
    spread = Spread((normal * steps).expand(*y.shape, 24, 3), torch.ones_like(level), level)
    calibration = Calibration(LEVELS, 24)
    offsets, _ = calibration(level, spread, initial_state(calibration.state_init(), len(y)))
    forecast = calibration.corrected(spread, offsets).raw.double().numpy()
    assert _covered(forecast, y, step, slice(500, 2900)) == pytest.approx(0.8, abs=0.012)


def test_the_median_stays_and_levels_never_cross() -> None:
    """Values that lie far off move every level but the median, and none beyond another."""
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    y = np.random.default_rng(2).normal(size=(2, 600)) + np.array([[5.0], [-5.0]])
    forecast, _ = _stream(Calibration(levels, 2), y)
    assert (forecast[..., 2] == 0).all()
    assert (np.diff(forecast, axis=-1) >= 0).all()
    assert (forecast[0, -1, :, -1] > 4).all()
    assert (forecast[1, -1, :, 0] < -4).all()


def test_without_a_median_every_level_moves() -> None:
    """Two levels follow a series that left them both."""
    y = np.random.default_rng(3).normal(size=(1, 2000)) + 4
    forecast, _ = _stream(Calibration((0.1, 0.9), 1), y)
    assert forecast[0, -1, 0] == pytest.approx(4 + normal_deviates(np.array([0.1, 0.9])), abs=0.5)


@pytest.mark.parametrize("horizon", [1, 4, 48])
def test_chunks_do_not_matter(horizon: int) -> None:
    """Rows one by one, some missing, give the offsets and the waiting forecasts of the rows at once."""
    y = np.random.default_rng(4).normal(size=(2, 90))
    y[np.random.default_rng(5).random(y.shape) < 0.2] = np.nan
    calibration = Calibration(LEVELS, horizon)
    whole, whole_state = _stream(calibration, y)
    state, parts = None, []
    for row in range(y.shape[1]):
        part, state = _stream(calibration, y[:, row : row + 1], state)
        parts.append(part)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-6)
    assert state is not None
    for name, value in whole_state.items():
        np.testing.assert_allclose(state[name], value, atol=1e-6, err_msg=name)


def test_a_missing_value_teaches_nothing() -> None:
    """Offsets stand still while values are missing, and a forecast whose value is missing is never judged."""
    calibration = Calibration(LEVELS, 3)
    _, state = _stream(calibration, np.random.default_rng(6).normal(size=(1, 50)))
    before = calibration.offsets(state)
    _, state = _stream(calibration, np.full((1, 7), np.nan), state)
    torch.testing.assert_close(calibration.offsets(state), before, rtol=0, atol=0)


def test_nothing_is_judged_before_there_is_something() -> None:
    """A step's offset first moves when a forecast of it, made after the fourth value, meets its own value."""
    calibration = Calibration(LEVELS, 3)
    y, state, first = np.full((1, 1), 9.0), None, {}
    for row in range(12):
        _, state = _stream(calibration, y, state)
        for step in np.flatnonzero(calibration.offsets(state)[0, :, -1].numpy()) + 1:
            first.setdefault(int(step), row)
    assert first == {1: 4, 2: 5, 3: 6}


def test_the_ring_hands_out_what_was_forecast_for_the_row() -> None:
    """Each step is judged by the forecast made so many rows before: one that is right is left alone."""
    calibration = Calibration(LEVELS, 48)
    num_rows, horizon = 400, 48
    y = torch.arange(num_rows, dtype=torch.float64).square().reshape(1, -1, 1) / 100
    ahead = (torch.arange(num_rows)[:, None] + torch.arange(1, horizon + 1)).double().square() / 100
    width = torch.tensor([-1.0, 0.0, 1.0])
    spread = Spread(ahead[None, ..., None].float() + width, torch.ones_like(y), torch.zeros_like(y))
    offsets, _ = calibration(y, spread, initial_state(calibration.state_init(), 1))
    # All values lie in the middle, so the outer levels draw in alike; a row's mistake would part them.
    upper, lower = offsets[0, ..., 2], offsets[0, ..., 0]
    torch.testing.assert_close(upper, -lower, atol=2e-3, rtol=0)
    assert (upper[-1] < -0.3).all()


def test_the_grid() -> None:
    """Short horizons are judged at every step; the memory of long ones hardly grows."""
    assert Grid.of(3).steps == (1, 2, 3)
    assert Grid.of(24).steps == (1, 2, 4, 8, 16, 24)
    assert Grid.of(24).strides == (1, 1, 1, 1, 1, 1)
    assert Grid.of(48).strides == (1, 1, 1, 1, 1, 1, 2)
    assert Grid.of(720).steps[-1] == 704
    assert Grid.of(720).num_entries < 240
    for horizon in (1, 5, 24, 100, 720, 10_000):
        grid = Grid.of(horizon)
        np.testing.assert_allclose(grid.weights.sum(axis=1), 1.0)
        assert max(grid.counts) <= 32
        assert max(grid.steps) <= horizon
