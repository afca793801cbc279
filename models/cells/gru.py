"""Gated recurrent unit."""

from torch import Tensor, nn

from models.cells.initialisation import orthogonal_recurrence
from models.state import State, StateInit


class GRU(nn.Module):
    """Stacked GRU (Cho et al. 2014), in torch's form with the reset gate after the recurrent product.

        r, z = sigmoid(W x_t + U h_{t-1} + b),  n = tanh(W_n x_t + b_n + r * (U_n h_{t-1} + b_hn))
        h_t = (1 - z) * n + z * h_{t-1}

    State: `h`, (L, H) float32 for a session. Exports to the ONNX `GRU` operator.
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.gru = nn.GRU(
            input_size, hidden_size, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0
        )
        orthogonal_recurrence(self.gru)

    def state_init(self) -> dict[str, StateInit]:
        return {"h": StateInit((self.num_layers, self.hidden_size))}

    def sequence(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Advance (B, T, I) -> outputs (B, T, H) and the next state; see `Cell.sequence`."""
        y, h = self.gru(x, state["h"].transpose(0, 1).contiguous())
        return y, {"h": h.transpose(0, 1)}

    def output(self, state: State) -> Tensor:
        """(B, H): the top layer's h."""
        return state["h"][:, -1]
