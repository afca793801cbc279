"""Student's t distribution: a normal with heavier tails."""

import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from models.heads.deviates import student_deviates
from models.heads.gaussian import LEAST_SPREAD
from models.heads.protocol import Levels, RegressionHead, linear, positive, raw_units, scaled_targets, total
from models.scaling import Unit

# Below two, the variance is infinite and one outlier can move everything.
_LEAST_FREEDOM = 2.0
_FIRST_FREEDOM = 8.0


class StudentTHead(RegressionHead):
    """Location mu and scale sigma of each step by log-likelihood; the degrees of freedom are the model's.

    One number of degrees of freedom for the whole model, learned with it: the quantiles of the unit
    distribution, which have no closed form, are then constants of the exported graph, and a forecast is
    mu + sigma t_q. Its numbers are mu and sigma, P = 2.
    """

    def __init__(self, hidden_size: int, horizon: int, levels: Sequence[float], _num_labels: int = 0) -> None:
        super().__init__(levels)
        self.linear = linear(hidden_size, 2 * horizon)
        self.freedom = nn.Parameter(torch.tensor(_FIRST_FREEDOM - _LEAST_FREEDOM - 1))
        self.keep_points()

    @property
    def degrees_of_freedom(self) -> Tensor:
        """() float32, above two."""
        return _LEAST_FREEDOM + positive(self.freedom) + LEAST_SPREAD

    def train(self, mode: bool = True) -> Self:
        """As for any module; going over to evaluation also brings the constants up to the weights of now."""
        super().train(mode)
        if not mode:
            device = self.freedom.device
            self.level_points = self.points(self.levels).to(device)
        return self

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
        freedom = self.degrees_of_freedom
        half = (freedom + 1) / 2
        constant = torch.lgamma(half) - torch.lgamma(freedom / 2) - torch.log(freedom * math.pi) / 2
        tail = half * torch.log1p(((scaled - mu) / sigma).square() / freedom)
        return total(tail + sigma.log() - constant, observed)

    def points(self, levels: Levels) -> Tensor:
        """t of each level; see `RegressionHead.points`."""
        freedom = float(self.degrees_of_freedom.detach())
        return torch.tensor(student_deviates(levels, freedom), dtype=torch.float32)

    def at(self, numbers: Tensor, points: Tensor, unit: Unit) -> Tensor:
        """See `RegressionHead.at`."""
        mu, sigma = torch.split(numbers, 1, dim=-1)
        return raw_units(mu + sigma * points, unit)
