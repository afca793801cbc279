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
        # Columns lie level by level, so that each level is a slice and not a gather in the exported graph.
        raw, steps = self.linear(hidden), range(1, self.num_levels)
        # ELU + 1 is positive and smooth, and a fraction of a softplus' cost in ONNX Runtime.
        positive = functional.elu(raw) + 1.0
        quantiles = [self._level(raw, 0)]
        for index in steps[: self.num_levels - 1 - self.centre]:
            quantiles.append(quantiles[-1] + self._level(positive, index))
        for index in steps[self.num_levels - 1 - self.centre :]:
            quantiles.insert(0, quantiles[0] - self._level(positive, index))
        return torch.stack(quantiles, dim=-1)

    def _level(self, columns: Tensor, index: int) -> Tensor:
        return columns[..., index * self.horizon : (index + 1) * self.horizon]
