"""Recurrences without a product of the state: computed for all rows at once, or a row at a time."""

import torch
from torch import Tensor

from models.cells.scanned import ScannedLayer


def all_at_once(keep: Tensor, add: Tensor, state: Tensor) -> Tensor:
    """h_t = keep_t * h_{t-1} + add_t for every t, in log2(T) passes over the whole chunk.

    Two steps are again one such step, (k1, a1) then (k2, a2) = (k1 k2, k2 a1 + a2), and that is
    associative: the parallel prefix of Hillis & Steele (1986; Blelloch 1990). Feng et al. take logarithms
    instead, which asks for positive values; products of numbers in (0, 1) need no such help.

    Args:
        keep: (T, B, H), in (0, 1).
        add: (T, B, H)
        state: (B, H), h before the first row.

    Returns:
        h after each row, (T, B, H).
    """
    add = torch.cat([add[:1] + keep[:1] * state, add[1:]])
    reach = 1
    while reach < len(add):
        add = torch.cat([add[:reach], add[reach:] + keep[reach:] * add[:-reach]])
        keep = torch.cat([keep[:reach], keep[reach:] * keep[:-reach]])
        reach *= 2
    return add


class LinearLayer(ScannedLayer):
    """A layer whose `project` gives keep and add, (T, B, H) each; exported as a `Scan` of two operators."""

    def step(self, rows: tuple[Tensor, ...], *states: Tensor) -> tuple[Tensor, ...]:
        """h_{t-1} -> h_t."""
        (keep, add), (hidden,) = rows, states
        return (keep * hidden + add,)

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Rows (T, B, I), h (B, H) -> outputs (T, B, H) and the last h, without a loop over rows."""
        keep, add = self.project(x)
        outputs = all_at_once(keep, add, *states)
        return outputs, (outputs[-1],)
