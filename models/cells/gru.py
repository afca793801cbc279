"""Gated recurrent unit."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from models.cells.initialisation import orthogonal_recurrence
from models.cells.stack import Stack, advance_single_state


class GRU(Stack):
    """Stacked GRU (Cho et al. 2014), in torch's form with the reset gate after the recurrent product.

        r, z = sigmoid(W x_t + U h_{t-1} + b),  n = tanh(W_n x_t + b_n + r * (U_n h_{t-1} + b_hn))
        h_t = (1 - z) * n + z * h_{t-1}

    States: `hidden_0` (h) and so on for each layer, (H,) float32 for a session, as the ONNX `GRU`
    operator of one layer takes them.
    """

    layer_states: ClassVar[dict[str, float]] = {"hidden": 0.0}

    def make_layer(self, input_size: int, hidden_size: int) -> nn.RNNBase:
        """See `Stack.make_layer`."""
        layer = nn.GRU(input_size, hidden_size)
        orthogonal_recurrence(layer)
        return layer

    def advance_layer(
        self, layer: nn.Module, x: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """See `Stack.advance_layer`."""
        return advance_single_state(layer, x, states)
