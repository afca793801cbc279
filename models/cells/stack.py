"""Layers of one kind above each other: what every cell does with depth, whatever its equations are."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from models.state import State, StateInit


class Stack(nn.Module):
    """Stacked layers with dropout between them and, if wished, residual connections.

    A subclass says what one layer is (`make_layer`), what it remembers (`layer_states`) and, where a layer
    wants its states in another form than (B, H) each, how it is called (`advance_layer`).

    Residual (Kim et al. 2017, He et al. 2016): layers above the first, whose input has the size of their
    output, add that input to it, y_l = h_l + y_{l-1}. The states stay what the equations say they are.
    """

    # Name and initial value of each; the first is the layer's output. State `<name>_<layer>` is (H,) float32.
    layer_states: ClassVar[dict[str, float]]
    # Whether a layer waits for rows to come, `layer_look_ahead` of them, before it says what it makes of one.
    looks_ahead: ClassVar[bool] = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        dropout: float,
        residual: bool = False,
        look_ahead: int = 0,
    ) -> None:
        super().__init__()
        check_look_ahead(self.looks_ahead, look_ahead)
        self.layer_look_ahead = look_ahead
        self.hidden_size = hidden_size
        self.residual = residual
        sizes = [input_size, *[hidden_size] * (num_layers - 1)]
        self.layers = nn.ModuleList(self.make_layer(size, hidden_size) for size in sizes)
        self.dropout = nn.Dropout(dropout)

    def make_layer(self, input_size: int, hidden_size: int) -> nn.Module:
        """One layer with starting weights."""
        raise NotImplementedError

    def advance_layer(
        self, layer: nn.Module, x: Tensor, states: Sequence[Tensor]
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """Advance one layer: rows (T, B, I), states (B, H) each -> outputs (T, B, H) and the next states."""
        y, following = layer(x, *states)
        return y, following

    @property
    def look_ahead(self) -> int:
        """See `Cell.look_ahead`."""
        return self.layer_look_ahead * len(self.layers)

    def state_init(self) -> dict[str, StateInit]:
        """See `Cell.state_init`."""
        return {
            name: StateInit((self.hidden_size,), value=value)
            for layer in range(len(self.layers))
            for name, value in zip(self.names(layer), self.layer_states.values(), strict=True)
        }

    def sequence(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Advance (B, T, I) -> outputs (B, T, H) and the next state; see `Cell.sequence`."""
        y = x.transpose(0, 1)
        after: State = {}
        for number, layer in enumerate(self.layers):
            below, names = y, self.names(number)
            rows = self.dropout(below) if number else below
            y, following = self.advance_layer(layer, rows, [state[name] for name in names])
            y = y + below if number and self.residual else y
            after |= dict(zip(names, following, strict=True))
        return y.transpose(0, 1), after

    def output(self, state: State) -> Tensor:
        """(B, H): the top layer's output; with residual connections the sum of all layers'."""
        outputs = [state[self.names(layer)[0]] for layer in range(len(self.layers))]
        total = outputs[0] if self.residual else outputs[-1]
        for output in outputs[1:] if self.residual else ():
            total = total + output
        return total

    def names(self, layer: int) -> list[str]:
        """The states of one layer, its output first."""
        return [f"{name}_{layer}" for name in self.layer_states]


def check_look_ahead(looks_ahead: bool, look_ahead: int) -> None:
    """Raises ValueError: rows to look ahead for a cell that does not, or none for one that does."""
    if looks_ahead != (look_ahead > 0):
        expected = "at least 1 for a cell that looks ahead" if looks_ahead else "0 for a cell that does not"
        raise ValueError(f"look_ahead: expected {expected}, found {look_ahead}")


def advance_single_state(
    layer: nn.Module, x: Tensor, states: Sequence[Tensor]
) -> tuple[Tensor, Sequence[Tensor]]:
    """`Stack.advance_layer` for torch's layers that remember h alone, which they take as (1, B, H)."""
    (hidden,) = states
    y, following = layer(x, hidden.unsqueeze(0))
    return y, [following.squeeze(0)]
