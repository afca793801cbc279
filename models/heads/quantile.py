"""Quantiles, each learned for itself."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.heads.deviates import normal_deviates
from models.heads.protocol import Levels, RegressionHead, linear, positive, raw_units, scaled_targets
from models.scaling import Unit


class QuantileHead(RegressionHead):
    """Direct multi-horizon quantiles (Wen et al. 2017) that cannot cross.

    The level nearest the median is free; each level outwards adds a positive step, so the levels
    keep their order by construction. Starts near zero: at first the forecast is persistence.
    Its numbers are the quantiles, P = Q.
    """

    def __init__(self, hidden_size: int, horizon: int, levels: Sequence[float], _num_labels: int = 0) -> None:
        super().__init__(levels)
        self.horizon = horizon
        centre = int(np.abs(self.levels - 0.5).argmin())
        self.num_above = len(levels) - 1 - centre
        self.centre = linear(hidden_size, horizon)
        # Columns lie level by level: the levels above the centre outwards, then those below.
        self.steps = linear(hidden_size, horizon * (len(levels) - 1)) if len(levels) > 1 else None
        self.register_buffer("level_points", torch.tensor(levels, dtype=torch.float32), persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., H) -> (..., K, Q), unitless, rising along Q."""
        levels = [self.centre(hidden).unsqueeze(-1)]
        if self.steps is not None:
            steps = torch.split(positive(self.steps(hidden)).unsqueeze(-1), self.horizon, dim=-2)
            for step in steps[: self.num_above]:
                levels.append(levels[-1] + step)
            for step in steps[self.num_above :]:
                levels.insert(0, levels[0] - step)
        return torch.cat(levels, dim=-1)

    def answer(self, numbers: Tensor, unit: Unit | None) -> Tensor:
        """See `Head.answer`."""
        assert unit is not None
        return raw_units(numbers, unit)

    def loss(self, numbers: Tensor, targets: Tensor, unit: Unit | None) -> tuple[Tensor, Tensor]:
        """The quantile loss of every level; see `Head.loss`."""
        assert unit is not None
        return pinball_loss(numbers, scaled_targets(targets, unit), self.level_points)

    def points(self, levels: Levels) -> Tensor:
        """(*levels, Q): what each learned quantile weighs in that at a level; see `RegressionHead.points`.

        Between two levels, and beyond the outermost, the line through the nearest two, drawn on the axis of
        a normal deviate: where the distribution is normal, that is exact.
        """
        if len(self.levels) == 1:
            return torch.ones(*levels.shape, 1)
        known, wanted = normal_deviates(self.levels), normal_deviates(levels)
        lower = np.clip(np.searchsorted(known, wanted) - 1, 0, len(known) - 2)
        share = (wanted - known[lower]) / (known[lower + 1] - known[lower])
        places = np.eye(len(known))
        weights = (1 - share)[..., None] * places[lower] + share[..., None] * places[lower + 1]
        return torch.tensor(weights, dtype=torch.float32)

    def at(self, numbers: Tensor, points: Tensor, unit: Unit) -> Tensor:
        """See `RegressionHead.at`."""
        return raw_units((numbers.unsqueeze(-2) * points).sum(dim=-1), unit)


def pinball_loss(quantiles: Tensor, targets: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the quantile loss over what was observed, and the number of terms.

    rho_q(u) = max(q u, (q - 1) u) = |u| / 2 + (q - 1/2) u, u = target - quantile (Koenker & Bassett 1978).

    Args:
        quantiles: (..., Q), scaled units.
        targets: (...), scaled units; NaN where there is nothing to learn.
        levels: (Q,)
    """
    observed = ~torch.isnan(targets)
    # Zeroed before anything is multiplied: 0 * NaN would spoil the gradient.
    error = (torch.where(observed, targets, 0.0)[..., None] - quantiles) * observed[..., None]
    by_level = error.flatten(0, -2).sum(dim=0)
    return 0.5 * error.abs().sum() + ((levels - 0.5) * by_level).sum(), observed.sum() * len(levels)
