"""Long short-term memory with a forget gate."""

from collections.abc import Sequence
from typing import ClassVar, cast

from torch import Tensor, nn

from models.cells.initialisation import open_forget_gate, orthogonal_recurrence
from models.cells.stack import Stack


class LSTM(Stack):
    """Stacked LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000).

        i, f, o = sigmoid(W x_t + U h_{t-1} + b),  g = tanh(W_g x_t + U_g h_{t-1} + b_g)
        c_t = f * c_{t-1} + i * g,                 h_t = o * tanh(c_t)

    States: `hidden_0` (h) and `cell_0` (c) and so on for each layer, (H,) float32 for a session: as the
    ONNX `LSTM` operator of one layer takes them, so that nothing is cut apart and put together.
    """

    layer_states: ClassVar[dict[str, float]] = {"hidden": 0.0, "cell": 0.0}

    def make_layer(self, input_size: int, hidden_size: int) -> nn.LSTM:
        """See `Stack.make_layer`."""
        layer = nn.LSTM(input_size, hidden_size)
        orthogonal_recurrence(layer)
        # torch adds two biases and orders the gates i, f, g, o: the input bias carries the 1.
        open_forget_gate(cast(Tensor, layer.bias_ih_l0), hidden_size)
        return layer

    def advance_layer(
        self, layer: nn.Module, x: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """See `Stack.advance_layer`."""
        y, following = layer(x, tuple(state.unsqueeze(0) for state in states))
        return y, [state.squeeze(0) for state in following]
