"""From a row to what the recurrence reads: numbers scaled, categories embedded."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.scaling import RunningScaler, Unit
from models.state import State, StateInit


class Embedding(nn.Module):
    """A learned vector for each of C categories, and one for a missing or unknown one."""

    num_categories: Tensor

    def __init__(self, num_categories: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.table = nn.Embedding(num_categories + 1, size)
        self.register_buffer("num_categories", torch.tensor([float(num_categories)], dtype=torch.float64))

    def forward(self, index: Tensor) -> Tensor:
        """(B, T) float64, NaN where missing -> (B, T, size) float32."""
        known = (index >= 0.0) & (index < self.num_categories)  # neither holds for NaN
        vector: Tensor = self.table(torch.where(known, index, self.num_categories).to(torch.int64))
        return vector


def embedding_size(num_categories: int) -> int:
    """A rule of thumb: 1.6 C^0.56 (Howard & Gugger 2020, fastai), at most 64."""
    return min(64, round(1.6 * math.pow(num_categories, 0.56)))


class Inputs(nn.Module):
    """Splits a row: features that are numbers go to the running scaler, categories to their embeddings.

    The scaler never sees a category: an index has no size.
    """

    def __init__(self, num_features: int, categories: Sequence[int]) -> None:
        """`categories`: for each feature how many it has, 0 for a number; empty where all are numbers."""
        super().__init__()
        nums = list(categories) or [0] * num_features
        self.numbers = [column for column, num in enumerate(nums) if not num]
        self.symbols = [column for column, num in enumerate(nums) if num]
        self.scaler = RunningScaler(len(self.numbers)) if self.numbers else None
        self.embeddings = nn.ModuleList(
            Embedding(nums[column], embedding_size(nums[column])) for column in self.symbols
        )
        embedded = sum(embedding_size(nums[column]) for column in self.symbols)
        self.size = embedded + (self.scaler.input_size if self.scaler else 0)

    def state_init(self) -> dict[str, StateInit]:
        """The scaler's state, where there are numbers."""
        return self.scaler.state_init() if self.scaler else {}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, Unit | None, State]:
        """Read a chunk.

        Args:
            x: (B, T, F) float64, raw units or indices of categories, NaN where missing.
            state: by name; not changed.

        Returns:
            (B, T, I) float32; the unit of the first number after each row, (B, T, 1); the scaler's next
            state.
        """
        parts, unit, after = [], None, State()
        if self.scaler is not None:
            scaled, after = self.scaler(self._numbers(x), state)
            parts, unit = [scaled.inputs], scaled
        for column, embedding in zip(self.symbols, self.embeddings, strict=True):
            parts.append(embedding(x[..., column]))
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0], unit, after

    def unit(self, state: State) -> Unit | None:
        """The unit after the last row, (B, 1) each, from the state alone."""
        return self.scaler.unit(state) if self.scaler else None

    def _numbers(self, x: Tensor) -> Tensor:
        if not self.symbols:
            return x
        first, last = self.numbers[0], self.numbers[-1]
        if all(after == before + 1 for before, after in pairwise(self.numbers)):
            return x[..., first : last + 1]
        return torch.cat([x[..., column : column + 1] for column in self.numbers], dim=-1)
