"""The simple recurrent network."""

from collections.abc import Sequence
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from models.cells.initialisation import orthogonal_recurrence
from models.cells.stack import Stack, advance_single_state

# Of the identity: with all of it, a stream without end would sum its inputs without end.
_RELU_MEMORY = 0.5


class Elman(Stack):
    """Stacked simple recurrent networks (Elman 1990): the hidden layer sees its own last values.

        s_t = tanh(U x_t + W s_{t-1} + b)

    States: `hidden_0` (s) and so on for each layer, (H,) float32 for a session.
    """

    layer_states: ClassVar[dict[str, float]] = {"hidden": 0.0}
    activation: ClassVar[Literal["tanh", "relu"]] = "tanh"

    def make_layer(self, input_size: int, hidden_size: int) -> nn.RNN:
        """See `Stack.make_layer`."""
        layer = nn.RNN(input_size, hidden_size, nonlinearity=self.activation)
        orthogonal_recurrence(layer)
        return layer

    def advance_layer(
        self, layer: nn.Module, x: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """See `Stack.advance_layer`."""
        return advance_single_state(layer, x, states)


class ElmanReLU(Elman):
    """Elman's networks with s_t = max(0, U x_t + W s_{t-1} + b), whose state nothing bounds.

    The recurrent weights start as a part of the identity (Le, Jaitly & Hinton 2015): a unit's past
    neither grows nor mixes with other units' before training says so.
    """

    activation: ClassVar[Literal["tanh", "relu"]] = "relu"

    def make_layer(self, input_size: int, hidden_size: int) -> nn.RNN:
        """See `Stack.make_layer`."""
        layer = super().make_layer(input_size, hidden_size)
        with torch.no_grad():
            nn.init.eye_(cast(Tensor, layer.weight_hh_l0)).mul_(_RELU_MEMORY)
        return layer
