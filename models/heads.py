"""Read-outs: from the recurrent output to a forecast in scaled units."""

import torch
from torch import Tensor, nn


class QuantileHead(nn.Module):
    """Direct multi-horizon quantiles (Wen et al. 2017) that cannot cross.

    The level nearest the median is free; each level outwards adds a positive step, so the levels
    keep their order by construction. Starts near zero: at first the forecast is persistence.
    """

    def __init__(self, hidden_size: int, horizon: int, num_levels: int, centre: int) -> None:
        super().__init__()
        self.horizon = horizon
        self.num_above = num_levels - 1 - centre
        self.centre = nn.Linear(hidden_size, horizon)
        # Columns lie level by level: the levels above the centre outwards, then those below.
        self.steps = nn.Linear(hidden_size, horizon * (num_levels - 1)) if num_levels > 1 else None
        with torch.no_grad():
            for linear in filter(None, (self.centre, self.steps)):
                linear.weight.mul_(0.1)
                linear.bias.zero_()

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., H) -> (..., K, Q), unitless, rising along Q."""
        levels = [self.centre(hidden).unsqueeze(-1)]
        if self.steps is not None:
            steps = torch.split(_positive(self.steps(hidden)).unsqueeze(-1), self.horizon, dim=-2)
            for step in steps[: self.num_above]:
                levels.append(levels[-1] + step)
            for step in steps[self.num_above :]:
                levels.insert(0, levels[0] - step)
        return torch.cat(levels, dim=-1)


def _positive(x: Tensor) -> Tensor:
    """ELU + 1 (Clevert et al. 2016): exp(x) below zero, x + 1 above; smooth, rising and never negative.

    In parts, because ONNX Runtime 1.31 has a fast `Exp` and a slow `Elu`.
    """
    return torch.exp(x.clamp(max=0.0)) + torch.relu(x)
