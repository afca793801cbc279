"""Counts: how many, when most are few."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from models.heads.deviates import normal_deviates
from models.heads.protocol import Levels, RegressionHead, linear, positive, total
from models.scaling import Unit

# Counts that are summed one by one; beyond them the distribution is smooth and a formula serves.
GRID = 128
# In counts: the level of a series that was never above zero yet.
_LEAST_LEVEL = 0.1
_LEAST_SHAPE = 1e-2


class NegativeBinomialHead(RegressionHead):
    """Mean mu and shape r of each step by log-likelihood (Salinas et al. 2020, section 3.1).

        p(k) = Gamma(k + r) / (k! Gamma(r)) (r / (r + mu))^r (mu / (r + mu))^k,   variance mu + mu^2 / r

    Its numbers are m and r, P = 2, and mu = level m, the level being the series' mean so far: a count has a
    unit of its own, one, so the running scale is not used, and the level alone makes a shop that sells
    hundreds and one that sells one a month alike. With m = 1 the forecast is the mean.

    Quantiles: p(k) / p(k - 1) = (k - 1 + r) / k mu / (r + mu) gives p on a grid of counts, and its sums the
    distribution F. A quantile is found on the line from (k - 1, F(k - 1)) to (k, F(k)), so it is no whole
    number and moves without jumps as the weights do; rounded up it is the exact quantile. Beyond the grid it
    is that of the gamma distribution of the same mean and variance, by the normal approximation of Wilson &
    Hilferty (1931) to the cube root.
    """

    counts: ClassVar[bool] = True
    steps: Tensor

    def __init__(self, hidden_size: int, horizon: int, levels: Sequence[float], _num_labels: int = 0) -> None:
        super().__init__(levels)
        self.linear = linear(hidden_size, 2 * horizon)
        counts = torch.arange(1, GRID, dtype=torch.float32)
        self.register_buffer("steps", counts, persistent=False)
        self.keep_points()

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., H) -> (..., K, 2): m and r, both positive."""
        m, r = self.linear(hidden).unsqueeze(-1).chunk(2, dim=-2)
        return torch.cat([positive(m) + _LEAST_SHAPE, positive(r) + _LEAST_SHAPE], dim=-1)

    def loss(self, numbers: Tensor, targets: Tensor, unit: Unit | None) -> tuple[Tensor, Tensor]:
        """Negative log-likelihood of the counts; one below zero counts as zero; see `Head.loss`."""
        assert unit is not None
        observed = ~torch.isnan(targets)
        k = torch.where(observed, targets, 0.0).clamp(min=0.0).to(torch.float32)
        mu, r = _mean(numbers, unit)[..., 0], numbers[..., 1]
        chosen = torch.lgamma(k + r) - torch.lgamma(k + 1) - torch.lgamma(r)
        return total(r * torch.log1p(mu / r) + k * torch.log1p(r / mu) - chosen, observed)

    def size(self, unit: Unit | None) -> Tensor:
        """The series' level, and one count at least; see `Head.size`."""
        assert unit is not None
        return unit.mean.clamp(min=1.0)

    def points(self, levels: Levels) -> Tensor:
        """(*levels, 2): each level, and the normal's z there; see `RegressionHead.points`."""
        return torch.tensor(np.stack([levels, normal_deviates(levels)], axis=-1), dtype=torch.float32)

    def at(self, numbers: Tensor, points: Tensor, unit: Unit) -> Tensor:
        """See `RegressionHead.at`."""
        mu, r = _mean(numbers, unit), numbers[..., 1:]  # (..., K, 1)
        at_zero = -r * torch.log1p(mu / r)
        ratios = torch.log((self.steps - 1 + r) / self.steps * (mu / (mu + r)))
        logs = torch.cat([at_zero, at_zero + torch.cumsum(ratios, dim=-1)], dim=-1)
        p = torch.exp(logs).unsqueeze(-2)  # (..., K, 1, N)
        below = torch.cumsum(p, dim=-1) - p
        level, deviate = points[..., :1], points[..., 1]
        # Every count below the quantile gives one, the quantile's own its part, those above nothing.
        parts = ((level - below) / p.clamp(min=1e-30)).clamp(0.0, 1.0)
        on_grid = parts.sum(dim=-1) - 1
        beyond = torch.maximum(_gamma_quantile(mu, r, deviate) - 0.5, on_grid)
        return torch.where(on_grid < GRID - 1, on_grid, beyond).clamp(min=0.0)


def _mean(numbers: Tensor, unit: Unit) -> Tensor:
    """mu, (..., K, 1) float32, in counts."""
    level = unit.mean.clamp(min=_LEAST_LEVEL).to(torch.float32).unsqueeze(-1)
    return level * numbers[..., :1]


def _gamma_quantile(mu: Tensor, r: Tensor, deviate: Tensor) -> Tensor:
    """mu (1 - 1 / (9 a) + z / (3 sqrt(a)))^3, a = mean^2 / variance (Wilson & Hilferty 1931)."""
    a = mu / (1 + mu / r)
    root = 1 - 1 / (9 * a) + deviate / (3 * torch.sqrt(a))
    root = root.clamp(min=0.0)
    return mu * root * root * root
