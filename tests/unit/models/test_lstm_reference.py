"""One LSTM in five ways: the fused cell, the one to read, torch's own layer, numpy, ONNX Runtime."""

import copy
from typing import cast

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from models.artifact import FORECAST, READ_OUT, ROWS, next_name
from models.cells.lstm import LSTM
from models.cells.lstm_reference import Gates, LSTMReference, ReferenceLayer
from models.state import initial_state
from tests import model_files
from tests.unit.models.cell_oracles import Array, lstm
from tests.unit.models.test_cells import BATCH, HIDDEN, TIME, TOLERANCE, make, rows, some_state
from training.export import to_onnx


def _pair(num_layers: int = 1, residual: bool = False) -> tuple[LSTM, LSTMReference]:
    """The fused cell and the one to read, with its weights."""
    fused = cast(LSTM, make("lstm", residual, num_layers=num_layers))
    reference = cast(LSTMReference, make("lstm-reference", residual, num_layers=num_layers))
    reference.load_lstm(fused)
    return fused, reference


def _gates_of_numpy(fused: LSTM, x: Array, hidden: Array, cell: Array) -> dict[str, Array]:
    """Each gate at each row, (B, T, H), of the first layer's weights as torch keeps them."""
    weights = {name: value.numpy().astype(np.float64) for name, value in fused.layers[0].state_dict().items()}
    steps = [{"hidden": hidden, "cell": cell}]
    for t in range(x.shape[1]):
        steps.append(lstm(weights, x[:, t], steps[-1]))
    return {name: np.stack([step[name] for step in steps[1:]], axis=1) for name in Gates._fields}


def _same(found: Array | Tensor, expected: Array | Tensor, name: str) -> None:
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


def test_every_gate_is_that_of_the_equations() -> None:
    """The gates shown for inspection are numpy's of torch's stacked weights, at every row."""
    fused, reference = _pair()
    state = some_state(fused)
    with torch.inference_mode():
        (gates,) = reference.gates(rows(), state)
    expected = _gates_of_numpy(fused, rows().numpy(), state["hidden_0"].numpy(), state["cell_0"].numpy())
    for name, value in gates._asdict().items():
        assert value.shape == (BATCH, TIME, HIDDEN)
        _same(value, expected[name], name)


def test_hidden_and_cell_are_those_of_torch_at_every_row() -> None:
    """`torch.nn.LSTM` and the fused cell pass through the same h and c as the gates shown."""
    fused, reference = _pair()
    layer = cast(nn.LSTM, fused.layers[0])
    state = initial_state(fused.state_init(), BATCH)
    with torch.inference_mode():
        (gates,) = reference.gates(rows(), state)
        for t in range(TIME):
            _, (hidden, cell) = layer(rows().transpose(0, 1)[: t + 1])
            _, after = fused.sequence(rows()[:, : t + 1], state)
            for found in (hidden[0], after["hidden_0"]):
                _same(found, gates.hidden[:, t], f"hidden at row {t}")
            for found in (cell[0], after["cell_0"]):
                _same(found, gates.cell[:, t], f"cell at row {t}")


@pytest.mark.parametrize("residual", [False, True])
def test_a_stack_equals_the_fused_one(residual: bool) -> None:
    """Two layers with the same weights have the same outputs and states, and gates to show of each."""
    fused, reference = _pair(2, residual)
    state = some_state(fused)
    with torch.inference_mode():
        expected, expected_after = fused.sequence(rows(), state)
        found, after = reference.sequence(rows(), state)
        gates = reference.gates(rows(), state)
    _same(found, expected, "output")
    for number, layer in enumerate(gates):
        _same(layer.hidden[:, -1], expected_after[f"hidden_{number}"], f"hidden of layer {number}")
        _same(layer.cell[:, -1], expected_after[f"cell_{number}"], f"cell of layer {number}")
    for name, value in expected_after.items():
        _same(after[name], value, name)


class _GatesOfARow(nn.Module):
    """The step of one layer as a graph of its own, with every gate an output."""

    def __init__(self, layer: ReferenceLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.layer.gates(x, hidden, cell))


def test_onnx_runtime_computes_the_same_gates() -> None:
    """Row by row in ONNX Runtime, h and c carried, every gate is numpy's of torch's weights."""
    fused, reference = _pair()
    state = some_state(fused)
    hidden, cell = state["hidden_0"].numpy(), state["cell_0"].numpy()
    expected = _gates_of_numpy(fused, rows().numpy(), hidden, cell)
    surface = _GatesOfARow(cast(ReferenceLayer, reference.layers[0])).eval()
    example = rows()[:, 0], state["hidden_0"].clone(), state["cell_0"].clone()
    program = torch.onnx.export(surface, example, dynamo=True, verbose=False, input_names=["x", "h", "c"])
    assert program is not None
    content = program.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for t in range(TIME):
        gates = session.run(None, {"x": rows()[:, t].numpy(), "h": hidden, "c": cell})
        for name, value in zip(Gates._fields, gates, strict=True):
            _same(value, expected[name][:, t], f"{name} at row {t}")
        cell, hidden = gates[-2:]


def test_the_exported_files_of_both_answer_alike() -> None:
    """The fused operator and the scan of the equations give the same forecasts and states in ONNX Runtime."""
    fused = model_files.forecaster("lstm")
    reference = copy.deepcopy(model_files.forecaster("lstm-reference"))
    shared = {name: value for name, value in fused.state_dict().items() if not name.startswith("cell.")}
    reference.load_state_dict(shared, strict=False)
    cast(LSTMReference, reference.cell).load_lstm(cast(LSTM, fused.cell))
    x = 50.0 + np.random.default_rng(0).normal(size=(2, 20, 2)).cumsum(axis=1)
    state = {name: value.numpy() for name, value in initial_state(fused.state_init(), 2).items()}
    names = [FORECAST, READ_OUT, *map(next_name, state)]
    files = [model_files.sealed("m", "lstm")[0], to_onnx(reference).SerializeToString()]
    first, second = (
        onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(names, {ROWS: x, **state})
        for file in files
    )
    for name, expected, found in zip(names, first, second, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=name)
