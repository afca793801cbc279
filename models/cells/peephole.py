"""Long short-term memory whose gates see the cell state."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from models.cells.initialisation import open_forget_gate, orthogonal_blocks
from models.cells.stack import Stack


class PeepholeLayer(nn.Module):
    """The equations of `Peephole`, for one layer; gates lie in torch's order i, f, g, o."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        # Of i, f and o. Small: a gate opens by what it reads before it opens by what it keeps.
        self.peephole = nn.Parameter(torch.empty(3, hidden_size).uniform_(-0.1, 0.1))
        nn.init.xavier_uniform_(self.weight_ih)
        orthogonal_blocks(self.weight_hh)
        open_forget_gate(self.bias, hidden_size)

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Rows (T, B, I), states (B, H) each -> outputs (T, B, H) and the next states."""
        outputs = []
        for row in nn.functional.linear(x, self.weight_ih, self.bias):
            i, f, g, o = (row + hidden @ self.weight_hh.T).chunk(4, dim=-1)
            i = torch.sigmoid(i + self.peephole[0] * cell)
            f = torch.sigmoid(f + self.peephole[1] * cell)
            cell = f * cell + i * torch.tanh(g)
            hidden = torch.sigmoid(o + self.peephole[2] * cell) * torch.tanh(cell)
            outputs.append(hidden)
        return torch.stack(outputs), (hidden, cell)


class Peephole(Stack):
    """Stacked LSTM with peephole connections (Gers & Schmidhuber 2000).

        i, f = sigmoid(W x_t + U h_{t-1} + p * c_{t-1} + b)
        g = tanh(W_g x_t + U_g h_{t-1} + b_g),     c_t = f * c_{t-1} + i * g
        o = sigmoid(W_o x_t + U_o h_{t-1} + p_o * c_t + b_o),     h_t = o * tanh(c_t)

    A gate can tell how much is stored even while the output gate is shut, which precise timing needs.
    States: `hidden_0` (h) and `cell_0` (c) and so on, (H,) float32 for a session: the ONNX `LSTM`
    operator with its input `P`. torch has no such layer, so training goes a step at a time.
    """

    layer_states: ClassVar[dict[str, float]] = {"hidden": 0.0, "cell": 0.0}

    def make_layer(self, input_size: int, hidden_size: int) -> PeepholeLayer:
        """See `Stack.make_layer`."""
        return PeepholeLayer(input_size, hidden_size)
