"""Gated recurrent unit."""

from typing import cast

from torch import Tensor, nn

from models.cells.initialisation import orthogonal_recurrence
from models.cells.protocol import hidden_name
from models.state import State, StateInit


class GRU(nn.Module):
    """Stacked GRU (Cho et al. 2014), in torch's form with the reset gate after the recurrent product.

        r, z = sigmoid(W x_t + U h_{t-1} + b),  n = tanh(W_n x_t + b_n + r * (U_n h_{t-1} + b_hn))
        h_t = (1 - z) * n + z * h_{t-1}

    States: `hidden_0` (h) and so on for each layer, (H,) float32 for a session, as the ONNX `GRU`
    operator of one layer takes them.
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.layers = nn.ModuleList(
            nn.GRU(hidden_size if layer else input_size, hidden_size) for layer in range(num_layers)
        )
        self.dropout = nn.Dropout(dropout)
        for layer in self.layers:
            orthogonal_recurrence(cast(nn.GRU, layer))

    def state_init(self) -> dict[str, StateInit]:
        """See `Cell.state_init`."""
        return {hidden_name(layer): StateInit((self.hidden_size,)) for layer in range(len(self.layers))}

    def sequence(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Advance (B, T, I) -> outputs (B, T, H) and the next state; see `Cell.sequence`."""
        y = x.transpose(0, 1)
        after: State = {}
        for number, layer in enumerate(self.layers):
            y = self.dropout(y) if number else y
            y, following = layer(y, state[hidden_name(number)].unsqueeze(0))
            after[hidden_name(number)] = following.squeeze(0)
        return y.transpose(0, 1), after

    def output(self, state: State) -> Tensor:
        """(B, H): the top layer's h."""
        return state[hidden_name(len(self.layers) - 1)]
