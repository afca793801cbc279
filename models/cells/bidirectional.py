"""Recurrence in both directions, as a stream: it looks a few rows ahead, so its outputs lag by as many."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from models.cells.gru import GRU
from models.cells.lstm import LSTM
from models.cells.stack import Stack
from models.state import StateInit


class BidirectionalLayer(nn.Module):
    """One layer: a recurrence that is carried forwards, and one that begins anew at every row.

    At row t the forward one has come to row t - k, k being `look_ahead`; the backward one runs from row t
    back to row t - k. The output is of row t - k: h of both, side by side.
    """

    def __init__(
        self, kind: type[LSTM] | type[GRU], input_size: int, hidden_size: int, look_ahead: int
    ) -> None:
        super().__init__()
        if hidden_size < 2:
            raise ValueError(f"hidden_size: expected at least 2, one for each direction, found {hidden_size}")
        self.input_size = input_size
        self.look_ahead = look_ahead
        self.sizes = hidden_size - hidden_size // 2, hidden_size // 2
        # Whether the output has the row that it is of added to it.
        self.residual = False
        self.ahead, self.back = (kind(input_size, size, 1, 0.0) for size in self.sizes)

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Rows (T, B, I) -> outputs (T, B, H) of rows that lie k back, and the next states.

        Args:
            x: (T, B, I)
            states: the last output (B, H), which only the read-out needs; the last k rows (B, k, I); the
                states of the forward recurrence, (B, H / 2) each.
        """
        _, recent, *carried = states
        rows = torch.cat([recent.transpose(0, 1), x])
        num_rows, num_carried = x.shape[0], rows.shape[0] - self.look_ahead
        lagging = rows[:num_carried]
        forwards, following = self.ahead.advance_layer(self.ahead.layers[0], lagging, carried)
        y = torch.cat([forwards, self._backwards(rows, num_rows)], dim=-1)
        y = y + lagging if self.residual else y
        return y, (y[-1], rows[num_carried:].transpose(0, 1), *following)

    def _backwards(self, rows: Tensor, num_rows: int) -> Tensor:
        """h (T, B, H / 2) after each row's window, walked from the newest row of it to the oldest."""
        end, oldest_first = rows.shape[0] - self.look_ahead, range(self.look_ahead + 1)
        windows = torch.stack([rows[at : end + at] for at in reversed(oldest_first)])
        # Each window is a series of its own.
        windows = windows.flatten(1, 2)
        nothing = windows.new_zeros(windows.shape[1], self.sizes[1])
        fresh = [nothing] * len(self.back.layer_states)
        _, (hidden, *_) = self.back.advance_layer(self.back.layers[0], windows, fresh)
        return hidden.reshape(num_rows, -1, self.sizes[1])


class Bidirectional(Stack):
    """Stacked bidirectional LSTM (Schuster & Paliwal 1997) over a window of rows to come.

        hf_t = LSTM(x_t, hf_{t-1}),  hb_t = LSTM(x_t, LSTM(x_{t+1}, ... LSTM(x_{t+k}, 0)))
        y_t = [hf_t, hb_t]

    The backward half needs the future, of which a stream has none: each layer waits k rows for it. The
    forward recurrence is carried, only the window of k + 1 rows is run backwards again at each row. With L
    layers, what is answered after row t is of row t - L k: a forecast then begins with the row after that,
    and its first L k steps have been seen. Before the first row there are zeros.

    States of each layer, float32 for a session: `output_0` (H,), `recent_0` (k, I), the rows that wait, and
    `hidden_0` and `cell_0` (H / 2,) of the forward recurrence.
    """

    kind: ClassVar[type[LSTM] | type[GRU]] = LSTM
    layer_states: ClassVar[dict[str, float]] = {"output": 0.0, "recent": 0.0, **LSTM.layer_states}
    looks_ahead: ClassVar[bool] = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        residual: bool = False,
        look_ahead: int = 0,
    ) -> None:
        # A layer's input is ahead of its output: the layer itself adds the one that its output is of.
        super().__init__(input_size, hidden_size, num_layers, dropout, False, look_ahead)
        for layer in self._both_ways()[1:]:
            layer.residual = residual

    def make_layer(self, input_size: int, hidden_size: int) -> BidirectionalLayer:
        """See `Stack.make_layer`."""
        return BidirectionalLayer(self.kind, input_size, hidden_size, self.layer_look_ahead)

    def state_init(self) -> dict[str, StateInit]:
        """See `Cell.state_init`."""
        inits: dict[str, StateInit] = {}
        for number, layer in enumerate(self._both_ways()):
            shapes = [(self.hidden_size,), (layer.look_ahead, layer.input_size)]
            shapes += [(layer.sizes[0],)] * len(self.kind.layer_states)
            inits |= {name: StateInit(shape) for name, shape in zip(self.names(number), shapes, strict=True)}
        return inits

    def _both_ways(self) -> Sequence[BidirectionalLayer]:
        return [layer for layer in self.layers if isinstance(layer, BidirectionalLayer)]


class BidirectionalGRU(Bidirectional):
    """Stacked bidirectional GRU, otherwise the same; there is no `cell_0`."""

    kind: ClassVar[type[LSTM] | type[GRU]] = GRU
    layer_states: ClassVar[dict[str, float]] = {"output": 0.0, "recent": 0.0, **GRU.layer_states}
