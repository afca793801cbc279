"""The scalar LSTM of xLSTM: an exponential gate, kept in range by two more states."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from models.cells.initialisation import open_forget_gate, orthogonal_blocks
from models.cells.scanned import ScannedLayer, linear, log_sigmoid
from models.cells.stack import Stack

# The stabiliser of an empty memory: the first row then counts in full, whatever its gates say.
_NOTHING = -1e30


class SLSTMLayer(ScannedLayer):
    """The equations of `SLSTM`, for one layer; gates lie in the order i, f, z, o."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input = linear(input_size, 4 * hidden_size)
        self.recurrence = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        orthogonal_blocks(self.recurrence.weight)
        open_forget_gate(self.input.bias, hidden_size)

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        """W x_t + b of all gates for every row."""
        return (self.input(x),)

    def step(self, rows: tuple[Tensor, ...], *states: Tensor) -> tuple[Tensor, ...]:
        """h, c, n, m of row t - 1 -> those of row t."""
        hidden, cell, normaliser, stabiliser = states
        i, f, z, o = (rows[0] + self.recurrence(hidden)).chunk(4, dim=-1)
        kept = log_sigmoid(f) + stabiliser
        stabiliser = torch.maximum(kept, i)
        input_gate, forget_gate = torch.exp(i - stabiliser), torch.exp(kept - stabiliser)
        cell = forget_gate * cell + input_gate * torch.tanh(z)
        normaliser = forget_gate * normaliser + input_gate
        return torch.sigmoid(o) * (cell / normaliser), cell, normaliser, stabiliser


class SLSTM(Stack):
    """Stacked sLSTM with one head (Beck et al. 2024, xLSTM, equations 8 to 17).

        i~, f~, z~, o~ = W x_t + R h_{t-1} + b
        m_t = max(log f + m_{t-1}, i~),   i' = exp(i~ - m_t),  f' = exp(log f + m_{t-1} - m_t)
        c_t = f' * c_{t-1} + i' * tanh(z~),   n_t = f' * n_{t-1} + i',   h_t = sigmoid(o~) * c_t / n_t

    The exponential input gate lets a new row outweigh all that is stored; n is the sum of the weights
    and m keeps every exponent below zero. Of the forget gates that the paper allows it has the sigmoid:
    with the exponential one m would grow along an endless stream until float32 lost its steps.

    States: `hidden_0` (h), `cell_0` (c), `normaliser_0` (n) and `stabiliser_0` (m, from -1e30) and so on
    for each layer, (H,) float32 for a session.
    """

    layer_states: ClassVar[dict[str, float]] = {
        "hidden": 0.0,
        "cell": 0.0,
        "normaliser": 0.0,
        "stabiliser": _NOTHING,
    }

    def make_layer(self, input_size: int, hidden_size: int) -> SLSTMLayer:
        """See `Stack.make_layer`."""
        return SLSTMLayer(input_size, hidden_size)
