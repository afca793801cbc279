"""Long short-term memory with a forget gate."""

import torch
from torch import Tensor, nn

from models.cells.initialisation import orthogonal_recurrence
from models.state import State, StateInit


class LSTM(nn.Module):
    """Stacked LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000).

        i, f, o = sigmoid(W x_t + U h_{t-1} + b),  g = tanh(W_g x_t + U_g h_{t-1} + b_g)
        c_t = f * c_{t-1} + i * g,                 h_t = o * tanh(c_t)

    States: `h` and `c`, each (L, H) float32 for a session. Exports to the ONNX `LSTM` operator.
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.lstm = nn.LSTM(
            input_size, hidden_size, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0
        )
        orthogonal_recurrence(self.lstm)
        self._open_forget_gates()

    def _open_forget_gates(self) -> None:
        """Forget-gate bias 1, so that memory lasts before it is learned (Jozefowicz et al. 2015, 2.2).

        torch adds two biases and orders the gates i, f, g, o: the input bias carries the 1.
        """
        hidden = self.hidden_size
        with torch.no_grad():
            for name, bias in self.lstm.named_parameters():
                if name.startswith("bias_ih"):
                    bias[hidden : 2 * hidden] = 1.0

    def state_init(self) -> dict[str, StateInit]:
        shape = (self.num_layers, self.hidden_size)
        return {"h": StateInit(shape), "c": StateInit(shape)}

    def sequence(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Advance (B, T, I) -> outputs (B, T, H) and the next state; see `Cell.sequence`."""
        h, c = (state[name].transpose(0, 1).contiguous() for name in ("h", "c"))
        y, (h, c) = self.lstm(x, (h, c))
        return y, {"h": h.transpose(0, 1), "c": c.transpose(0, 1)}

    def output(self, state: State) -> Tensor:
        """(B, H): the top layer's h."""
        return state["h"][:, -1]
