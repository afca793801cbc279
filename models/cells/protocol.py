"""What a recurrent cell promises, whatever its equations are."""

from typing import Protocol

from torch import Tensor

from models.state import State, StateInit


class Cell(Protocol):
    """A recurrent network whose whole memory is a dictionary of named tensors.

    Shapes use B batch, T time, I inputs, H hidden. The batch axis of every state comes first, so
    that a server can gather and scatter sessions without knowing what a state means.
    """

    hidden_size: int

    @property
    def look_ahead(self) -> int:
        """Rows by which outputs lag: the one after row t is of row t - look_ahead."""
        ...

    def state_init(self) -> dict[str, StateInit]:
        """Name, per-session shape, dtype and initial value of each state tensor."""
        ...

    def sequence(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Advance over a chunk.

        Args:
            x: (B, T, I) float32.
            state: by name, (B, *shape); not changed.

        Returns:
            The top layer's output after each row, (B, T, H), and the state after the last row.
        """
        ...

    def output(self, state: State) -> Tensor:
        """The top layer's output after the last row, (B, H), from the state alone."""
        ...
