"""The LSTM cut down to what can be trained in parallel."""

from typing import ClassVar

import torch
from torch import Tensor

from models.cells.initialisation import open_forget_gate
from models.cells.linear_recurrence import LinearLayer
from models.cells.scanned import linear, log_sigmoid
from models.cells.stack import Stack


class MinLSTMLayer(LinearLayer):
    """The equations of `MinLSTM`, for one layer."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.forget = linear(input_size, hidden_size)
        self.input = linear(input_size, hidden_size)
        self.candidate = linear(input_size, hidden_size)
        open_forget_gate(self.forget.bias, hidden_size, gate=0)

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        """f'_t and i'_t * h~_t for every row, where f' = sigmoid(log f - log i): nothing divides by zero."""
        odds = log_sigmoid(self.forget(x)) - log_sigmoid(self.input(x))
        return torch.sigmoid(odds), torch.sigmoid(-odds) * self.candidate(x)


class MinLSTM(Stack):
    """Stacked minLSTM (Feng et al. 2024, "Were RNNs all we needed?", 3.2).

        f_t = sigmoid(W_f x_t + b_f),  i_t = sigmoid(W_i x_t + b_i),  h~_t = W_h x_t + b_h
        f'_t = f_t / (f_t + i_t),  i'_t = i_t / (f_t + i_t)
        h_t = f'_t * h_{t-1} + i'_t * h~_t

    Like `MinGRU` trained on all rows of a segment at once. The forget gate starts open, as an LSTM's.
    States: `hidden_0` (h) and so on, (H,) float32.
    """

    layer_states: ClassVar[dict[str, float]] = {"hidden": 0.0}

    def make_layer(self, input_size: int, hidden_size: int) -> MinLSTMLayer:
        """See `Stack.make_layer`."""
        return MinLSTMLayer(input_size, hidden_size)
