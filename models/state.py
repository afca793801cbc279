"""State tensors by name: how a module declares what it must remember between rows."""

from dataclasses import dataclass

import torch
from torch import Tensor

State = dict[str, Tensor]


@dataclass(frozen=True)
class StateInit:
    """One state tensor: its shape for a single session (no batch axis), dtype and initial value."""

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    value: float = 0.0


def initial_state(inits: dict[str, StateInit], batch_size: int) -> State:
    """A fresh state for `batch_size` sessions: each tensor (B, *shape), filled with its initial value."""
    return {
        name: torch.full((batch_size, *init.shape), init.value, dtype=init.dtype)
        for name, init in inits.items()
    }
