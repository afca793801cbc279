"""Read-outs: from the recurrent output to a forecast in scaled units."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class QuantileHead(nn.Module):
    """Direct multi-horizon quantiles (Wen et al. 2017) that cannot cross.

    The level nearest the median is free; each level outwards adds a positive step, so the levels
    keep their order by construction. Starts near zero: at first the forecast is persistence.
    """

    def __init__(self, hidden_size: int, horizon: int, num_levels: int, centre: int) -> None:
        super().__init__()
        self.horizon = horizon
        self.num_levels = num_levels
        self.centre = centre
        self.linear = nn.Linear(hidden_size, horizon * num_levels)
        with torch.no_grad():
            self.linear.weight.mul_(0.1)
            self.linear.bias.zero_()

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., H) -> (..., K, Q), unitless, rising along Q."""
        raw = self.linear(hidden).reshape(*hidden.shape[:-1], self.horizon, self.num_levels)
        middle = raw[..., self.centre : self.centre + 1]
        up = torch.cumsum(functional.softplus(raw[..., self.centre + 1 :]), dim=-1)
        down = torch.cumsum(functional.softplus(raw[..., : self.centre].flip(-1)), dim=-1).flip(-1)
        return torch.cat([middle - down, middle, middle + up], dim=-1)
