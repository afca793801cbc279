"""Long short-term memory with a forget gate."""

from typing import cast

import torch
from torch import Tensor, nn

from models.cells.initialisation import orthogonal_recurrence
from models.cells.protocol import hidden_name
from models.state import State, StateInit


def _cell_name(layer: int) -> str:
    return f"cell_{layer}"


class LSTM(nn.Module):
    """Stacked LSTM (Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000).

        i, f, o = sigmoid(W x_t + U h_{t-1} + b),  g = tanh(W_g x_t + U_g h_{t-1} + b_g)
        c_t = f * c_{t-1} + i * g,                 h_t = o * tanh(c_t)

    States: `hidden_0` (h) and `cell_0` (c) and so on for each layer, (H,) float32 for a session: as the
    ONNX `LSTM` operator of one layer takes them, so that nothing is cut apart and put together.
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.layers = nn.ModuleList(
            nn.LSTM(hidden_size if layer else input_size, hidden_size) for layer in range(num_layers)
        )
        self.dropout = nn.Dropout(dropout)
        for layer in self.layers:
            orthogonal_recurrence(cast(nn.LSTM, layer))
        self._open_forget_gates()

    def _open_forget_gates(self) -> None:
        """Forget-gate bias 1, so that memory lasts before it is learned (Jozefowicz et al. 2015, 2.2).

        torch adds two biases and orders the gates i, f, g, o: the input bias carries the 1.
        """
        hidden = self.hidden_size
        with torch.no_grad():
            for name, bias in self.layers.named_parameters():
                if "bias_ih" in name:
                    bias[hidden : 2 * hidden] = 1.0

    def state_init(self) -> dict[str, StateInit]:
        """See `Cell.state_init`."""
        init = StateInit((self.hidden_size,))
        return {name(layer): init for layer in range(len(self.layers)) for name in (hidden_name, _cell_name)}

    def sequence(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Advance (B, T, I) -> outputs (B, T, H) and the next state; see `Cell.sequence`."""
        y = x.transpose(0, 1)
        after: State = {}
        for number, layer in enumerate(self.layers):
            y = self.dropout(y) if number else y
            names = hidden_name(number), _cell_name(number)
            y, following = layer(y, tuple(state[name].unsqueeze(0) for name in names))
            after |= {name: value.squeeze(0) for name, value in zip(names, following, strict=True)}
        return y.transpose(0, 1), after

    def output(self, state: State) -> Tensor:
        """(B, H): the top layer's h."""
        return state[hidden_name(len(self.layers) - 1)]
