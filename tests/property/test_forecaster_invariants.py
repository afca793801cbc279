"""What every forecaster keeps to, in torch and in ONNX Runtime on the exported file, for any rows."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.cells import CELLS
from tests.property.forecasters import Array, Runner, State, runner

NUM_FEATURES = 2
# A float32 recurrence whose products are summed in another order (another batch, another chunk)
# drifts by some 1e-6 a step in scaled units.
TOLERANCE = 2e-5

EACH_CELL = pytest.mark.parametrize("cell", CELLS)
KINDS = pytest.mark.parametrize("kind", ["torch", "onnxruntime"])
quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def rows(draw: st.DrawFn, min_rows: int = 1, max_rows: int = 40) -> Array:
    """(T, F): walks, jumps and constants at levels up to a million, with any of the values missing."""
    num = draw(st.integers(min_rows, max_rows))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    level = draw(st.sampled_from([0.0, 1.0, -37.5, 1e4, -1e6]))
    step = draw(st.sampled_from([0.0, 1e-3, 1.0, 50.0]))
    x = level + step * random.normal(size=(num, NUM_FEATURES)).cumsum(axis=0)
    x[draw(st.integers(0, num)) :] += draw(st.sampled_from([0.0, 10.0, -1e3]))
    x[random.random(x.shape) < draw(st.sampled_from([0.0, 0.2, 0.9, 1.0]))] = np.nan
    return x


@st.composite
def split_rows(draw: st.DrawFn) -> tuple[Array, list[int]]:
    """Rows and where to cut them: any split, down to single rows."""
    x = draw(rows(min_rows=2))
    cuts = draw(st.lists(st.integers(1, len(x) - 1), unique=True, max_size=len(x) - 1))
    return x, sorted(cuts)


def _in_chunks(run: Runner, x: Array, cuts: list[int]) -> tuple[Array, State]:
    state, forecasts = run.initial(1), []
    for chunk in np.split(x, cuts):
        forecast, _, state = run.run(chunk[None], state)
        forecasts.append(forecast[0])
    return np.concatenate(forecasts), state


def _scale(x: Array) -> Array:
    """(T, 1, 1) of rows (T, F): the forecasts' unit, the target's mean absolute change so far."""
    scales = []
    for t in range(len(x)):
        seen = x[: t + 1, 0][~np.isnan(x[: t + 1, 0])]
        changes = np.abs(np.diff(seen))
        level = abs(seen[-1]) if len(seen) and seen[-1] != 0 else 1.0
        scales.append(changes.mean() if changes.sum() > 0 else level)
    return np.array(scales)[:, None, None]


def _assert_same_forecasts(found: Array, expected: Array, scale: Array) -> None:
    """Equal within the tolerance in scaled units, and the rounding of the float32 answer itself."""
    rounding = 2 * np.spacing(np.abs(expected))
    np.testing.assert_array_less(np.abs(found - expected), TOLERANCE * scale + rounding)


def _assert_same_state(found: State, expected: State) -> None:
    for name, value in expected.items():
        tolerance = TOLERANCE if value.dtype == np.float32 else 1e-9
        # Sums of float64 grow with the squares of the values; they differ by their last digits.
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


@EACH_CELL
@KINDS
@quick
@given(case=split_rows())
def test_chunking(kind: str, cell: str, case: tuple[Array, list[int]]) -> None:
    """Any split of a series gives the same forecasts and the same final state."""
    x, cuts = case
    whole, whole_state = _in_chunks(runner(kind, cell), x, [])
    split, split_state = _in_chunks(runner(kind, cell), x, cuts)
    _assert_same_forecasts(split, whole, _scale(x))
    _assert_same_state(split_state, whole_state)


@EACH_CELL
@KINDS
@quick
@given(batch=st.lists(rows(min_rows=6, max_rows=6), min_size=2, max_size=6), data=st.data())
def test_batching(kind: str, cell: str, batch: list[Array], data: st.DataObject) -> None:
    """A series' forecasts and state do not depend on which others share its batch."""
    run = runner(kind, cell)
    together, _, state = run.run(np.stack(batch), run.initial(len(batch)))
    one = data.draw(st.integers(0, len(batch) - 1))
    alone, alone_state = _in_chunks(run, batch[one], [])
    _assert_same_forecasts(together[one], alone, _scale(batch[one]))
    _assert_same_state({name: value[one : one + 1] for name, value in state.items()}, alone_state)


@EACH_CELL
@quick
@given(x=rows())
def test_parity(cell: str, x: Array) -> None:
    """ONNX Runtime on the exported file computes what torch computes: forecasts, read-out and states."""
    expected, expected_state = _in_chunks(runner("torch", cell), x, [])
    found, found_state = _in_chunks(runner("onnxruntime", cell), x, [])
    _assert_same_forecasts(found, expected, _scale(x))
    _assert_same_state(found_state, expected_state)


@EACH_CELL
@KINDS
@quick
@given(x=rows())
def test_read_out_is_the_last_forecast(kind: str, cell: str, x: Array) -> None:
    """The state alone gives the forecast that was made after its last row."""
    run = runner(kind, cell)
    forecasts, state = _in_chunks(run, x, [])
    _, read_out, _ = run.run(x[None, :1], state)
    _assert_same_forecasts(read_out, forecasts[-1:], _scale(x)[-1:])


@EACH_CELL
@KINDS
@quick
@given(x=rows())
def test_forecasts_are_finite_and_quantiles_never_cross(kind: str, cell: str, x: Array) -> None:
    """Whatever is missing, every forecast and state is finite, and the levels rise."""
    forecasts, state = _in_chunks(runner(kind, cell), x, [])
    assert np.isfinite(forecasts).all()
    assert all(np.isfinite(value).all() for value in state.values())
    assert (np.diff(forecasts, axis=-1) >= 0).all()


@EACH_CELL
@KINDS
@quick
@given(x=rows(), row=st.integers(0, 39))
def test_a_missing_row_moves_no_scale(kind: str, cell: str, x: Array, row: int) -> None:
    """A wholly missing row advances the recurrence and leaves every running sum as it was."""
    run = runner(kind, cell)
    _, before = _in_chunks(run, x[: 1 + row % len(x)], [])
    _, _, after = run.run(np.full((1, 1, NUM_FEATURES), np.nan), before)
    for name, value in before.items():
        if name.startswith("scale_"):
            np.testing.assert_array_equal(after[name], value, err_msg=name)


@EACH_CELL
@KINDS
@quick
@given(x=rows(min_rows=2), hidden=st.integers(0, 39), lie=st.sampled_from([0.0, 1e6]))
def test_a_forecast_is_causal(kind: str, cell: str, x: Array, hidden: int, lie: float) -> None:
    """What comes later changes no forecast made before it."""
    at = 1 + hidden % (len(x) - 1)
    changed = x.copy()
    changed[at:] = lie
    first, second = (_in_chunks(runner(kind, cell), values, [])[0][:at] for values in (x, changed))
    _assert_same_forecasts(first, second, _scale(x)[:at])
