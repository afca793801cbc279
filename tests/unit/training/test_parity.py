"""A file that computes something else is never written."""

import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from models.forecaster import Forecaster
from tests import model_files
from tests.unit.training.series_files import settings_for, write_csv
from training import train as train_module
from training.parity import TOLERANCE, ParityError, check_parity


def _damaged(model: onnx.ModelProto, operator: str, place: int, which: int = 0) -> onnx.ModelProto:
    """The graph with one number of the weights at input `place` of one such operator moved a little."""
    name = [node.input[place] for node in model.graph.node if node.op_type == operator][which]
    weight = next(initializer for initializer in model.graph.initializer if initializer.name == name)
    values = onnx.numpy_helper.to_array(weight).copy()
    values.flat[0] += 0.05
    weight.CopyFrom(onnx.numpy_helper.from_array(values, name))
    return model


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_torch_and_onnxruntime_agree(cell: str, seed: int) -> None:
    """The exported graph is the module, far within the tolerance, rows split any way."""
    content, _ = model_files.sealed("m", cell)
    assert check_parity(content, model_files.forecaster(cell), seed) < TOLERANCE / 10


@pytest.mark.parametrize(
    ("operator", "place", "which"),
    [("Gemm", 1, 0), ("Gemm", 1, 1), ("Gemm", 2, 0), ("GRU", 1, 0), ("GRU", 2, 0), ("GRU", 3, 0)],
)
def test_one_weight_that_differs_is_found(operator: str, place: int, which: int) -> None:
    """A twentieth on one weight, of the head's two parts or the recurrence, is refused."""
    model = onnx.load_model_from_string(model_files.sealed("m", "gru")[0])
    damaged = _damaged(model, operator, place, which).SerializeToString()
    with pytest.raises(ParityError, match="expected at most"):
        check_parity(damaged, model_files.forecaster("gru"))


def test_state_that_is_not_carried_is_found() -> None:
    """A graph that hands its incoming state back agrees on a whole series and fails in chunks."""
    model = onnx.load_model_from_string(model_files.sealed("m", "lstm")[0])
    for node in model.graph.node:
        for index, output in enumerate(node.output):
            if output == "cell_0_next":
                node.output[index] = "cell_0_lost"
    model.graph.node.append(onnx.helper.make_node("Identity", ["cell_0"], ["cell_0_next"]))
    with pytest.raises(ParityError, match=r"cell_0_next|forecast"):
        check_parity(model.SerializeToString(), model_files.forecaster("lstm"))


def test_not_a_number_is_found() -> None:
    """NaN is no agreement."""
    forecaster = copy.deepcopy(model_files.forecaster("gru"))
    content, _ = model_files.sealed("m", "gru")
    with torch.no_grad():
        forecaster.head.centre.bias[0] = np.nan
    with pytest.raises(ParityError, match="nan"):
        check_parity(content, forecaster)


def test_nothing_is_written_when_the_graph_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training that ends in a damaged graph raises and leaves no repository behind."""

    def damaging(forecaster: Forecaster) -> onnx.ModelProto:
        return _damaged(export(forecaster), "Gemm", 1)

    export = train_module.to_onnx
    monkeypatch.setattr(train_module, "to_onnx", damaging)
    settings = settings_for(write_csv(tmp_path / "data.csv"), cell="gru", max_epochs=1)
    with pytest.raises(ParityError):
        train_module.train(settings)
    assert not settings.repository.exists()
