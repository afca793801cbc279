"""The network whose output feeds back."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from models.cells.initialisation import orthogonal_blocks
from models.cells.scanned import ScannedLayer, linear
from models.cells.stack import Stack


class JordanLayer(ScannedLayer):
    """The equations of `Jordan`, for one layer."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input = linear(input_size, hidden_size)
        self.feedback = nn.Linear(hidden_size, hidden_size, bias=False)
        self.readout = linear(hidden_size, hidden_size)
        for weight in (self.feedback.weight, self.readout.weight):
            orthogonal_blocks(weight)

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        """W x_t + b for every row."""
        return (self.input(x),)

    def step(self, rows: tuple[Tensor, ...], *states: Tensor) -> tuple[Tensor, ...]:
        """y_{t-1} -> y_t."""
        (projected,), (output,) = rows, states
        hidden = torch.tanh(projected + self.feedback(output))
        return (torch.tanh(self.readout(hidden)),)


class Jordan(Stack):
    """Stacked Jordan networks (Jordan 1986): the hidden layer sees the last output, not its own past.

        h_t = tanh(W x_t + U y_{t-1} + b)
        y_t = tanh(V h_t + c)

    States: `output_0` (y) and so on for each layer, (H,) float32 for a session. Jordan's state units also
    decay slowly; here, as in most of what followed, the state is the previous output.
    """

    layer_states: ClassVar[dict[str, float]] = {"output": 0.0}

    def make_layer(self, input_size: int, hidden_size: int) -> JordanLayer:
        """See `Stack.make_layer`."""
        return JordanLayer(input_size, hidden_size)
