"""The GRU cut down to what can be trained in parallel."""

from typing import ClassVar

import torch
from torch import Tensor

from models.cells.linear_recurrence import LinearLayer
from models.cells.scanned import linear
from models.cells.stack import Stack


class MinGRULayer(LinearLayer):
    """The equations of `MinGRU`, for one layer."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.update = linear(input_size, hidden_size)
        self.candidate = linear(input_size, hidden_size)

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        """1 - z_t and z_t * h~_t for every row."""
        update = self.update(x)
        return torch.sigmoid(-update), torch.sigmoid(update) * self.candidate(x)


class MinGRU(Stack):
    """Stacked minGRU (Feng et al. 2024, "Were RNNs all we needed?", 3.1).

        z_t = sigmoid(W_z x_t + b_z),  h~_t = W_h x_t + b_h
        h_t = (1 - z_t) * h_{t-1} + z_t * h~_t

    Gate and candidate do not see the past, so all rows of a segment are trained at once; what a layer
    cannot decide by its past, the layer above can. States: `hidden_0` (h) and so on, (H,) float32.
    """

    layer_states: ClassVar[dict[str, float]] = {"hidden": 0.0}

    def make_layer(self, input_size: int, hidden_size: int) -> MinGRULayer:
        """See `Stack.make_layer`."""
        return MinGRULayer(input_size, hidden_size)
