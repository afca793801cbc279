"""All steps at once."""

from collections.abc import Callable

from torch import Tensor, nn

from models.heads import Head


class Direct(nn.Module):
    """The head makes every step of the horizon from the hidden output at once (Wen et al. 2017)."""

    def __init__(self, make_head: Callable[[int, int], Head], hidden_size: int, horizon: int) -> None:
        super().__init__()
        self.head = make_head(hidden_size, horizon)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., H) -> the head's numbers (..., K, P)."""
        numbers: Tensor = self.head(hidden)
        return numbers
