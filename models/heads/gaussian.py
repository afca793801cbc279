"""A normal distribution."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from models.heads.deviates import normal_deviates
from models.heads.protocol import Levels, RegressionHead, linear, positive, raw_units, scaled_targets, total
from models.scaling import Unit

# In units of the naive forecast's error: a spread of nothing would make an infinite likelihood.
LEAST_SPREAD = 1e-3


class GaussianHead(RegressionHead):
    """Mean mu and deviation sigma of each step by log-likelihood (Salinas et al. 2020, section 3.1).

    Its numbers are mu and sigma, P = 2; the quantile at level q is mu + sigma z_q, z_q the normal's.
    """

    def __init__(self, hidden_size: int, horizon: int, levels: Sequence[float], _num_labels: int = 0) -> None:
        super().__init__(levels)
        self.linear = linear(hidden_size, 2 * horizon)
        self.keep_points()

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., H) -> (..., K, 2): mu, and sigma, which is positive."""
        mu, spread = self.linear(hidden).unsqueeze(-1).chunk(2, dim=-2)
        return torch.cat([mu, positive(spread) + LEAST_SPREAD], dim=-1)

    def loss(self, numbers: Tensor, targets: Tensor, unit: Unit | None) -> tuple[Tensor, Tensor]:
        """Negative log-likelihood of the scaled targets; see `Head.loss`."""
        assert unit is not None
        observed = ~torch.isnan(targets)
        scaled = scaled_targets(torch.where(observed, targets, 0.0), unit)
        mu, sigma = numbers.unbind(dim=-1)
        return total(((scaled - mu) / sigma).square() / 2 + sigma.log() + math.log(2 * math.pi) / 2, observed)

    def points(self, levels: Levels) -> Tensor:
        """z of each level; see `RegressionHead.points`."""
        return torch.tensor(normal_deviates(levels), dtype=torch.float32)

    def at(self, numbers: Tensor, points: Tensor, unit: Unit) -> Tensor:
        """See `RegressionHead.at`."""
        mu, sigma = torch.split(numbers, 1, dim=-1)
        return raw_units(mu + sigma * points, unit)
