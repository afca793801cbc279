"""The exported graph."""

import copy
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from onnx.utils import Extractor
from torch import nn

from models.artifact import FORECAST, READ_OUT, ROWS, check, digest, next_name, unseal
from models.cells import CELLS
from models.manifest import Manifest
from tests import model_files
from training.export import ExportError, _check_fused, to_onnx
from training.operators import RECURRENT, onnx_operators

OPERATORS = {
    "lstm": "LSTM",
    "gru": "GRU",
    "elman": "RNN",
    "elman-relu": "RNN",
    "jordan": "Scan",
    "lstm-reference": "Scan",
    "peephole": "LSTM",
    "min-lstm": "Scan",
    "min-gru": "Scan",
    "slstm": "Scan",
    "bidirectional": "LSTM",
    "bidirectional-gru": "GRU",
}
# What a scanned step is made of; the products with rows alone are before the scan.
STEPS = {
    "jordan": {"Gemm": 2, "Add": 1, "Tanh": 2},
    "lstm-reference": {"Concat": 1, "Gemm": 4, "Sigmoid": 3, "Tanh": 2, "Mul": 3, "Add": 1},
    "min-lstm": {"Mul": 1, "Add": 1},
    "min-gru": {"Mul": 1, "Add": 1},
}
DEPTHS = [(cell, 1) for cell in OPERATORS] + [("lstm", 2), ("gru", 2), ("elman", 2), ("lstm-reference", 2)]


@pytest.mark.parametrize(("cell", "num_layers"), DEPTHS)
def test_recurrence_is_one_operator_a_layer(cell: str, num_layers: int) -> None:
    """Each layer, in each direction, is the one operator that is fast for it, and nothing else loops."""
    content, _ = model_files.sealed("m", cell, num_layers=num_layers)
    operators = Counter(node.op_type for node in onnx.load_model_from_string(content).graph.node)
    found = {operator: operators[operator] for operator in RECURRENT if operators[operator]}
    num_directions = 2 if CELLS[cell].looks_ahead else 1
    assert found == {OPERATORS[cell]: num_directions * num_layers}


def test_every_cell_has_its_operator_told() -> None:
    """No cell is registered without a line above."""
    assert OPERATORS.keys() == CELLS.keys()


def test_peepholes_stay_in_the_operator() -> None:
    """The cell state reaches the gates by the operator's input P, (1, 3 H) in the order i, o, f."""
    model = onnx.load_model_from_string(model_files.sealed("m", "peephole")[0])
    (node,) = (node for node in model.graph.node if node.op_type == "LSTM")
    (stored,) = (tensor for tensor in model.graph.initializer if tensor.name == node.input[7])
    (layer,) = model_files.forecaster("peephole").cell.layers
    i, f, o = layer.peephole.detach().numpy()
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(stored), np.concatenate([i, o, f])[None])


@pytest.mark.parametrize("cell", STEPS)
def test_a_scanned_step_holds_what_needs_the_state_alone(cell: str) -> None:
    """The body is a few operators and its own weights: it reads nothing of the graph around it."""
    model = onnx.load_model_from_string(model_files.sealed("m", cell)[0])
    (node,) = (node for node in model.graph.node if node.op_type == "Scan")
    (body,) = (attribute.g for attribute in node.attribute if attribute.name == "body")
    operators = Counter(each.op_type for each in body.node)
    del operators["Identity"]  # an output of a body cannot be two
    assert operators == STEPS[cell]
    known = {tensor.name for tensor in (*body.input, *body.initializer)}
    for each in body.node:
        assert known.issuperset(filter(None, each.input))
        known.update(each.output)
    outside = {tensor.name for tensor in model.graph.initializer}
    assert not outside & {tensor.name for tensor in body.initializer}


def test_a_row_pays_for_few_operators() -> None:
    """What is around the recurrence stays small, and moves states as little as a layer's operator needs."""
    content, manifest = model_files.sealed("m", "lstm", num_layers=2)
    states = [state.name for state in manifest.states]
    outputs = [FORECAST, *map(next_name, states)]
    graph = Extractor(onnx.load_model_from_string(content)).extract_model([ROWS, *states], outputs).graph
    operators = Counter(node.op_type for node in graph.node)
    assert sum(operators.values()) <= 90
    # The rows' into time first, the recurrent output's back.
    assert operators["Transpose"] == 2
    # A weight is stored once, and nothing is computed from weights alone.
    weights = {tensor.name for tensor in graph.initializer}
    assert all(set(node.input) - weights for node in graph.node)


def test_file_agrees_with_its_manifest(lstm_file: tuple[bytes, Manifest]) -> None:
    """The names, dtypes and shapes of the graph are those the manifest tells."""
    model, manifest = unseal(lstm_file[0])
    check(model, manifest)
    assert manifest == lstm_file[1]


@pytest.mark.parametrize("cell", ["gru", "min-gru"])
def test_export_again_in_one_process_gives_the_same_digest(cell: str) -> None:
    """A second export is the same file, with nothing of this machine in it; training mode is left alone."""
    _, first = model_files.sealed("m", cell)
    forecaster = copy.deepcopy(model_files.forecaster(cell)).train()
    second = to_onnx(forecaster)
    assert digest(second) == first.digest
    content = second.SerializeToString()
    assert b"site-packages" not in content
    assert b".py" not in content
    assert forecaster.training
    assert all(parameter.requires_grad for parameter in forecaster.parameters())
    assert torch.is_grad_enabled()


def test_time_axis_stays_dynamic(gru_file: tuple[bytes, Manifest]) -> None:
    """No shape in the graph holds on to the length of the exporter's example."""
    model, _ = unseal(gru_file[0])
    axes = {
        tensor.name: [dim.dim_param for dim in tensor.type.tensor_type.shape.dim]
        for tensor in (*model.graph.input, *model.graph.output)
    }
    assert axes[ROWS] == ["batch", "time", ""]
    assert axes[FORECAST] == ["batch", "time", "", ""]
    assert axes[READ_OUT] == ["batch", "", ""]


def test_unfused_recurrence_is_refused() -> None:
    """A graph without the cell's operator is an error that names the operator."""
    model, _ = unseal(model_files.sealed("m", "lstm")[0])
    with pytest.raises(ExportError, match=r"GRU: expected 1 .* found 0"):
        _check_fused(model, model_files.forecaster("gru"))


def test_recurrence_beside_the_operator_is_refused() -> None:
    """A graph that loops besides the cell's operators is an error that names the loop's."""
    model, _ = unseal(model_files.sealed("m", "jordan")[0])
    model.graph.node.extend(
        node for node in unseal(model_files.sealed("m", "lstm")[0])[0].graph.node if node.op_type == "LSTM"
    )
    with pytest.raises(ExportError, match=r"LSTM: expected 0 .* found 1"):
        _check_fused(model, model_files.forecaster("jordan"))


@pytest.mark.parametrize(
    "layer", [nn.LSTM(2, 3, num_layers=2), nn.GRU(2, 3, batch_first=True), nn.LSTM(2, 3, bias=False)]
)
def test_layers_of_another_kind_are_not_exported_wrongly(layer: nn.RNNBase) -> None:
    """A recurrence that one operator would not compute is refused, and works as before afterwards."""
    with pytest.raises(NotImplementedError, match="expected one layer"), onnx_operators(layer, 20):
        pass
    assert "forward" not in vars(layer)
