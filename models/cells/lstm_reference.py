"""The LSTM to read: gate by gate, a step at a time. `models.cells.lstm` is the one to use."""

from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from models.cells.initialisation import open_forget_gate, orthogonal_blocks
from models.cells.lstm import LSTM
from models.cells.scanned import ScannedLayer, linear
from models.cells.stack import Stack
from models.state import State


class Gates(NamedTuple):
    """What one layer computes at a row, (B, H) each; of a whole chunk, (B, T, H)."""

    forget: Tensor
    input: Tensor
    candidate: Tensor
    output: Tensor
    cell: Tensor
    hidden: Tensor


class ReferenceLayer(ScannedLayer):
    """The equations of `LSTMReference`, for one layer."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.forget_gate = linear(hidden_size + input_size, hidden_size)
        self.input_gate = linear(hidden_size + input_size, hidden_size)
        self.candidate = linear(hidden_size + input_size, hidden_size)
        self.output_gate = linear(hidden_size + input_size, hidden_size)
        for gate in (self.forget_gate, self.input_gate, self.candidate, self.output_gate):
            orthogonal_blocks(gate.weight[:, :hidden_size])
        open_forget_gate(self.forget_gate.bias, hidden_size, gate=0)

    def gates(self, x: Tensor, hidden: Tensor, cell: Tensor) -> Gates:
        """One row (B, I) and the states before it, (B, H) each."""
        seen = torch.cat([hidden, x], dim=-1)
        forget = torch.sigmoid(self.forget_gate(seen))
        input = torch.sigmoid(self.input_gate(seen))
        candidate = torch.tanh(self.candidate(seen))
        output = torch.sigmoid(self.output_gate(seen))
        cell = forget * cell + input * candidate
        return Gates(forget, input, candidate, output, cell, hidden=output * torch.tanh(cell))

    def step(self, rows: tuple[Tensor, ...], *states: Tensor) -> tuple[Tensor, ...]:
        """h_{t-1}, c_{t-1} -> h_t, c_t."""
        gates = self.gates(*rows, *states)
        return gates.hidden, gates.cell

    def trace(self, x: Tensor, hidden: Tensor, cell: Tensor) -> Gates:
        """Every gate at every row: rows (T, B, I) -> (T, B, H) each."""
        rows = []
        for row in x:
            rows.append(self.gates(row, hidden, cell))
            hidden, cell = rows[-1].hidden, rows[-1].cell
        return Gates(*map(torch.stack, zip(*rows, strict=True)))

    def load_lstm(self, layer: nn.LSTM) -> None:
        """Take over the weights: torch has gates i, f, g, o in one matrix, U apart from W, and two biases."""
        mine = self.input_gate, self.forget_gate, self.candidate, self.output_gate
        theirs = [parameter.chunk(4) for parameter in layer.parameters()]
        with torch.no_grad():
            for gate, rows, recurrent, bias, other_bias in zip(mine, *theirs, strict=True):
                gate.weight.copy_(torch.cat([recurrent, rows], dim=1))
                gate.bias.copy_(bias + other_bias)


class LSTMReference(Stack):
    """Stacked LSTM to be read, gate by gate (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

        f_t = sigmoid(W_f [h_{t-1}, x_t] + b_f)      i_t = sigmoid(W_i [h_{t-1}, x_t] + b_i)
        c~_t = tanh(W_c [h_{t-1}, x_t] + b_c)        o_t = sigmoid(W_o [h_{t-1}, x_t] + b_o)
        c_t = f_t * c_{t-1} + i_t * c~_t             h_t = o_t * tanh(c_t)

    Each gate has a matrix of its own over [h_{t-1}, x_t]. With the weights of an `LSTM` it computes the
    same. States as there: `hidden_0` (h) and `cell_0` (c) and so on, (H,) float32 for a session.
    """

    layer_states: ClassVar[dict[str, float]] = {"hidden": 0.0, "cell": 0.0}

    def make_layer(self, input_size: int, hidden_size: int) -> ReferenceLayer:
        """See `Stack.make_layer`."""
        return ReferenceLayer(input_size, hidden_size)

    def load_lstm(self, lstm: LSTM) -> None:
        """Take over the weights of an `LSTM` of the same sizes."""
        for layer, source in zip(self.layers, lstm.layers, strict=True):
            cast(ReferenceLayer, layer).load_lstm(cast(nn.LSTM, source))

    def gates(self, x: Tensor, state: State) -> list[Gates]:
        """Every gate of each layer at each row, without dropout: (B, T, I) -> (B, T, H); changes nothing."""
        y = x.transpose(0, 1)
        found = []
        for number, layer in enumerate(self.layers):
            states = (state[name] for name in self.names(number))
            gates = cast(ReferenceLayer, layer).trace(y, *states)
            y = gates.hidden + y if number and self.residual else gates.hidden
            found.append(Gates(*(gate.transpose(0, 1) for gate in gates)))
        return found
