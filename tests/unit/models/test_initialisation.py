"""Starting weights."""

import pytest
import torch
from torch import Tensor

from models.cells import CELLS

HIDDEN = 6
IDENTITY = torch.eye(HIDDEN)
# Where each cell keeps its recurrent blocks; a reference's matrices begin with the recurrent columns.
RECURRENT = {
    "lstm": ["weight_hh_l0"],
    "gru": ["weight_hh_l0"],
    "elman": ["weight_hh_l0"],
    "jordan": ["feedback.weight", "readout.weight"],
    "lstm-reference": ["forget_gate.weight", "input_gate.weight", "candidate.weight", "output_gate.weight"],
    "peephole": ["weight_hh"],
    "slstm": ["recurrence.weight"],
}
# Name of a bias and the place of the forget gate in it.
FORGET = {
    "lstm": ("bias_ih_l0", 1),
    "lstm-reference": ("forget_gate.bias", 0),
    "peephole": ("bias", 1),
    "min-lstm": ("forget.bias", 0),
    "slstm": ("input.bias", 1),
}


def _weights(cell: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    (layer,) = CELLS[cell](3, HIDDEN, 1, 0.0, False, 0).layers
    return layer.state_dict()


@pytest.mark.parametrize(("cell", "names"), RECURRENT.items(), ids=RECURRENT)
def test_recurrent_weights_start_orthogonal(cell: str, names: list[str]) -> None:
    """Each gate's recurrent block keeps the length of what it carries."""
    for name in names:
        for block in _weights(cell)[name][:, :HIDDEN].split(HIDDEN):
            torch.testing.assert_close(block @ block.T, IDENTITY)


@pytest.mark.parametrize(("cell", "bias", "gate"), [(cell, *where) for cell, where in FORGET.items()])
def test_forget_gates_start_open(cell: str, bias: str, gate: int) -> None:
    """The forget gate's bias is 1 and every other one's 0."""
    gates = _weights(cell)[bias].split(HIDDEN)
    assert [value.unique().tolist() for value in gates] == [[float(n == gate)] for n in range(len(gates))]


def test_rectified_units_start_apart() -> None:
    """The ReLU network begins with each unit seeing a part of its own past alone."""
    weight = _weights("elman-relu")["weight_hh_l0"]
    factor = weight[0, 0]
    assert 0 < factor < 1
    torch.testing.assert_close(weight, factor * IDENTITY)
