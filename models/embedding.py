"""Vectors for categories."""

import math

import torch
from torch import Tensor, nn


class Embedding(nn.Module):
    """A learned vector for each of C categories, and one for a missing or unknown one."""

    num_categories: Tensor

    def __init__(self, num_categories: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.table = nn.Embedding(num_categories + 1, size)
        self.register_buffer("num_categories", torch.tensor([float(num_categories)], dtype=torch.float64))

    def forward(self, index: Tensor) -> Tensor:
        """(...) float64, NaN where missing -> (..., size) float32."""
        known = (index >= 0.0) & (index < self.num_categories)  # neither holds for NaN
        vector: Tensor = self.table(torch.where(known, index, self.num_categories).to(torch.int64))
        return vector


def embedding_size(num_categories: int) -> int:
    """A rule of thumb: 1.6 C^0.56 (Howard & Gugger 2020, fastai), at most 64."""
    return min(64, round(1.6 * math.pow(num_categories, 0.56)))
