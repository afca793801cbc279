"""Missing values: filled forward along a chunk without a loop over time, and kept in a state."""

import torch
from torch import Tensor

# Stands for zero in a state, where zero stands for nothing. The exporter writes constants as float32.
_ZERO = 1e-30


def filled_forward(value: Tensor, seen: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
    """The last value observed up to each row and the chunk's first, (B, T, C) each; else `before`.

    The chunk's observations are packed to the front behind `before`. Indexing that by the running count
    fills forward without a loop over time: ONNX has no cumulative maximum. A missing value adds its zero
    to the observation that came before it.

    Args:
        value: (B, T, C) float64, zero where missing.
        seen: (B, T, C) float64, observations of this chunk up to each row.
        before: (B, 1, C) float64, what holds where none was observed yet.
    """
    slot = seen.to(torch.int64)
    packed = torch.cat([before, 0.0 * seen], dim=1).scatter_add(1, slot, value)
    return packed.gather(1, slot), packed.gather(1, slot.clamp(max=1))


def kept(values: Tensor) -> Tensor:
    """Values as a state keeps them: zero where missing (NaN), so that a fresh state is all zeros.

    A zero itself is kept as the least number that no calculation notices.
    """
    return torch.where(values == values, torch.where(values == 0.0, _ZERO, values), 0.0)


def recalled(values: Tensor) -> Tensor:
    """What `kept` kept: NaN where missing."""
    return torch.where(values == 0.0, torch.nan, values)
