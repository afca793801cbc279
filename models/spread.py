"""Forecasts about a point near them, where small differences keep their digits in float32."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

# Of what an error is measured by: the least width of an interval.
_LEAST_WIDTH = 1e-3


@dataclass(frozen=True)
class Spread:
    """The model's own forecast, about a point: raw units less that point.

    Attributes:
        quantiles: (..., K, Q) float32, rising along Q.
        size: what an error is measured by, (..., 1) float64, see `Head.size`.
        centre: the point, (..., 1) float64.
    """

    quantiles: Tensor
    size: Tensor
    centre: Tensor

    @property
    def width(self) -> Tensor:
        """What offsets are measured in: the outermost levels' distance, never nothing.

        (..., K, Q), the same for each level; by a product, see `models.calibration`.
        """
        between = self.quantiles.shape[-1] - 2
        ends = torch.tensor([-1.0, *[0.0] * between, 1.0]).unsqueeze(-1).repeat(1, between + 2)
        least = (_LEAST_WIDTH * self.size).to(torch.float32).unsqueeze(-1)
        return self.quantiles @ ends + least

    @property
    def raw(self) -> Tensor:
        """The forecast itself, (..., K, Q) float32 in raw units."""
        return self.quantiles + self.point

    @property
    def point(self) -> Tensor:
        """The centre beside quantiles, (..., 1, 1) float32."""
        return self.centre.to(torch.float32).unsqueeze(-1)

    def about(self, origin: Tensor) -> Self:
        """The same quantiles, their point measured from `origin` (B, 1, 1)."""
        return replace(self, centre=self.centre - origin)
