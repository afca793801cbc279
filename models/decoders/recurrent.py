"""A second recurrence over the steps to come."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.cells.initialisation import orthogonal_recurrence
from models.heads import Head


class Recurrent(nn.Module):
    """Encoder-decoder with different lengths (Cho et al. 2014; Sutskever et al. 2014).

    A GRU of its own walks over the K steps of the horizon. It starts from the encoder's hidden output,
    reads a learned vector for each step, and one head answers for every step. What it answered is not
    fed back to it: all K steps are trained together, and an early error does not grow with the horizon.
    """

    def __init__(self, make_head: Callable[[int, int], Head], hidden_size: int, horizon: int) -> None:
        super().__init__()
        self.head = make_head(hidden_size, 1)
        self.start = nn.Linear(hidden_size, hidden_size)
        self.steps = nn.Parameter(torch.randn(horizon, 1, hidden_size) * 0.1)
        self.layer = nn.GRU(hidden_size, hidden_size)
        orthogonal_recurrence(self.layer)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., H) -> the head's numbers (..., K, P)."""
        flat = hidden.reshape(-1, hidden.shape[-1])
        first = torch.tanh(self.start(flat))
        # As wide as the batch by adding to it: an expansion needs a computed shape.
        steps = self.steps + torch.zeros_like(first).unsqueeze(0)
        following, _ = self.layer(steps, first.unsqueeze(0))
        numbers: Tensor = self.head(following.transpose(0, 1)).squeeze(-2)
        return numbers.reshape(*hidden.shape[:-1], *numbers.shape[1:]) if hidden.ndim > 2 else numbers
