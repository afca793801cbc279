"""Chunking, batching, parity and recovery for every task with every cell.

In torch the grid is whole. On exported files, in ONNX Runtime, it is covered so that each cell and each task
is there: every cell with quantiles, every task with the LSTM. `TASKS_LONG=1` exports the whole grid, which
takes minutes. That any rows at all keep to it, `test_forecaster_invariants.py` draws at random.
"""

import os
from functools import cache

import numpy as np
import pytest
import torch

from models.cells import CELLS
from models.forecaster import Forecaster
from models.state import initial_state
from tests import model_files
from tests.property.forecasters import Array, OnnxRunner, Runner, State, TorchRunner
from tests.task_models import TASKS, graph_of, of_cell
from training.export import state_specs
from training.parity import TOLERANCE

GRID = [
    (cell, task)
    for task in TASKS
    for cell in CELLS
    if not (task in ("watched", "whole") and CELLS[cell].looks_ahead)
]
# An embedded symbol that a cell reads at once, and one that waits in its state.
PAIRS = {("gru", "next-symbol"), ("bidirectional", "next-symbol")}
EXPORTED = GRID if os.environ.get("TASKS_LONG") else [
    pair for pair in GRID if pair[1] == "quantile" or pair[0] == "lstm" or pair in PAIRS
]  # fmt: skip
EACH = pytest.mark.parametrize(
    ("kind", "cell", "task"),
    [("torch", *pair) for pair in GRID] + [("onnxruntime", *pair) for pair in EXPORTED],
)
NUM_SERIES, NUM_ROWS = 3, 12
# One row at a time, uneven, and a row apart at either end.
SPLITS = (list(range(1, NUM_ROWS)), [2, 3, 8], [1, NUM_ROWS - 1])


def _forecaster(cell: str, task: str) -> Forecaster:
    return model_files.forecaster(cell) if task == "quantile" else of_cell(cell, task)


def _new_runner(kind: str, cell: str, task: str) -> Runner:
    """As another process would have it: of the weights and nothing else."""
    forecaster = _forecaster(cell, task)
    if kind == "torch":
        made = Forecaster(forecaster.architecture)
        made.load_state_dict(forecaster.state_dict())
        return TorchRunner(made.eval())
    if task == "quantile":
        return OnnxRunner(model_files.sealed("m", cell)[0], state_specs(forecaster))
    _, graph = graph_of(forecaster.architecture)
    return OnnxRunner(graph.SerializeToString(), state_specs(forecaster))


_runner = cache(_new_runner)


@cache
def _rows(cell: str, task: str) -> Array:
    """(B, T, width): walks, counts, categories and times, some of each missing."""
    architecture = _forecaster(cell, task).architecture
    random = np.random.default_rng(0)
    layout = architecture.row_layout
    shape = NUM_SERIES, NUM_ROWS, layout.width
    x = np.array([50.0, -1e4, 0.1])[:, None, None] + random.normal(size=shape).cumsum(axis=1)
    if architecture.head == "negative-binomial":
        x[..., 0] = random.poisson([[0.5], [4.0], [60.0]], shape[:2])
    for column, num in enumerate(architecture.categories):
        if num:
            x[..., column] = random.integers(0, num, shape[:2])
    if layout.reads_time:
        # Then the graph's own clock goes on.
        x[..., -1] = np.where(np.arange(NUM_ROWS) < 7, 1.7e15 + 3.6e9 * np.arange(NUM_ROWS), np.nan)
    x[random.random(shape) < 0.2] = np.nan
    return x


def _size(cell: str, task: str) -> Array:
    """(B, T, 1, 1): what the error of each row's forecast is measured by."""
    forecaster = _forecaster(cell, task)
    x = torch.from_numpy(_rows(cell, task))
    with torch.inference_mode():
        _, unit, _ = forecaster.scaled(x, initial_state(forecaster.state_init(), NUM_SERIES))
        return np.broadcast_to(forecaster.head.size(unit).numpy(), (*x.shape[:2], 1))[..., None]


def _in_chunks(run: Runner, x: Array, cuts: list[int]) -> tuple[Array, State]:
    """Forecasts (B, T, K, Q) of rows (B, T, F), and the state after the last, fed from chunk to chunk."""
    state, forecasts = run.initial(len(x)), []
    for chunk in np.split(x, cuts, axis=1):
        forecast, _, state = run.run(chunk, state)
        forecasts.append(forecast)
    return np.concatenate(forecasts, axis=1), state


def _assert_same_forecasts(found: Array, expected: Array, size: Array) -> None:
    rounding = 2 * np.spacing(np.abs(expected))
    np.testing.assert_array_less(np.abs(found - expected), TOLERANCE * size + rounding)


def _assert_same_state(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


@EACH
def test_chunking(kind: str, cell: str, task: str) -> None:
    """Any split of a series gives the same forecasts and the same final state."""
    run, x = _runner(kind, cell, task), _rows(cell, task)
    whole, whole_state = _in_chunks(run, x, [])
    for cuts in SPLITS:
        split, split_state = _in_chunks(run, x, cuts)
        _assert_same_forecasts(split, whole, _size(cell, task))
        _assert_same_state(split_state, whole_state)


@EACH
def test_batching(kind: str, cell: str, task: str) -> None:
    """A series' forecasts and state do not depend on which others share its batch, nor on its place there."""
    run, x = _runner(kind, cell, task), _rows(cell, task)
    for order in ([0, 1, 2], [2, 0]):
        together, state = _in_chunks(run, x[order], [5])
        for place, one in enumerate(order):
            alone, alone_state = _in_chunks(run, x[[one]], [5])
            _assert_same_forecasts(together[[place]], alone, _size(cell, task)[[one]])
            _assert_same_state({name: value[[place]] for name, value in state.items()}, alone_state)


@pytest.mark.parametrize(("cell", "task"), EXPORTED)
def test_parity(cell: str, task: str) -> None:
    """ONNX Runtime on the exported file computes what torch computes: forecasts and states."""
    x = _rows(cell, task)
    expected, expected_state = _in_chunks(_runner("torch", cell, task), x, [5])
    found, found_state = _in_chunks(_runner("onnxruntime", cell, task), x, [5])
    _assert_same_forecasts(found, expected, _size(cell, task))
    _assert_same_state(found_state, expected_state)


@EACH
@pytest.mark.parametrize("at", [1, 7])
def test_recovery(kind: str, cell: str, task: str, at: int) -> None:
    """A stream that is cut goes on bit by bit in another runner, from the bytes of its state alone."""
    run, x = _runner(kind, cell, task), _rows(cell, task)
    uncut, uncut_state = _in_chunks(run, x, [at])
    last, _, state = run.run(x[:, :at], run.initial(NUM_SERIES))
    stored = {name: (value.dtype, value.shape, value.tobytes()) for name, value in state.items()}
    restored = {name: np.frombuffer(b, dtype).reshape(shape) for name, (dtype, shape, b) in stored.items()}
    other = _new_runner(kind, cell, task)
    rest, read_out, after = other.run(x[:, at:], restored)
    np.testing.assert_array_equal(rest, uncut[:, at:])
    for name, value in uncut_state.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)
    _assert_same_forecasts(read_out, last[:, -1], _size(cell, task)[:, at - 1])


@pytest.mark.parametrize(("cell", "task"), GRID)
def test_every_state_counts(cell: str, task: str) -> None:
    """A state that is not carried moves what comes after by far more than the tests above let pass."""
    run, x = _runner("torch", cell, task), _rows(cell, task)
    _, _, state = run.run(x[:, :7], run.initial(NUM_SERIES))
    rest, read_out, after = run.run(x[:, 7:], state)
    for name, fresh in run.initial(NUM_SERIES).items():
        other, other_read_out, other_after = run.run(x[:, 7:], state | {name: fresh})
        moved = np.maximum(
            (np.abs(other - rest) / _size(cell, task)[:, 7:]).max(),
            (np.abs(other_read_out - read_out) / _size(cell, task)[:, 6]).max(),
        )
        carried = max(np.abs(other_after[each] - value).max() for each, value in after.items())
        assert max(moved, carried) > 10 * TOLERANCE, name
