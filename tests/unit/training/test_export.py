"""The exported graph."""

from collections import Counter

import onnx
import pytest
import torch
from onnx.utils import Extractor
from torch import nn

from models.artifact import FORECAST, READ_OUT, ROWS, check, next_name, unseal
from models.manifest import Manifest
from tests import model_files
from training.export import ExportError, _check_fused, to_onnx
from training.operators import onnx_operators


@pytest.mark.parametrize(("cell", "operator"), [("lstm", "LSTM"), ("gru", "GRU")])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_recurrence_is_one_operator_a_layer(cell: str, operator: str, num_layers: int) -> None:
    """Each layer of the cell is ONNX's own operator, and there is no loop in the graph."""
    content, _ = model_files.sealed("m", cell, num_layers=num_layers)
    operators = Counter(node.op_type for node in onnx.load_model_from_string(content).graph.node)
    assert operators[operator] == num_layers
    assert not {"Loop", "Scan", "If"} & set(operators)


def test_a_row_pays_for_few_operators() -> None:
    """What is around the recurrence stays small, and moves states as little as a layer's operator needs."""
    content, manifest = model_files.sealed("m", "lstm", num_layers=2, features=("y",))
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


def test_export_again_in_one_process_gives_the_same_digest() -> None:
    """A second export is the same file: nothing of the first, or of this machine, stays in it."""
    forecaster = model_files.forecaster("gru")
    first, second = (to_onnx(forecaster).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
    assert b"site-packages" not in first
    assert b".py" not in first


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


def test_training_mode_is_left_alone() -> None:
    """Exporting leaves a forecaster in training mode as it was."""
    forecaster = model_files.forecaster("gru", seed=5).train()
    to_onnx(forecaster)
    assert forecaster.training
    assert all(parameter.requires_grad for parameter in forecaster.parameters())
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    "layer", [nn.LSTM(2, 3, num_layers=2), nn.GRU(2, 3, batch_first=True), nn.LSTM(2, 3, bias=False)]
)
def test_layers_of_another_kind_are_not_exported_wrongly(layer: nn.RNNBase) -> None:
    """A recurrence that one operator would not compute is refused, and works as before afterwards."""
    with pytest.raises(NotImplementedError, match="expected one layer"), onnx_operators(layer, 20):
        pass
    assert "forward" not in vars(layer)
