"""How surprising each row is: where its value lies in the forecast made before it, and how unusual of late.

The quantile position of a value is read off the forecast's levels. The tail probability is the anomaly
likelihood of Ahmad et al. (2017, Unsupervised real-time anomaly detection for streaming data, section 3.2):
the mean surprise of the last few rows against its mean and deviation in the long run.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from models.cells.linear_recurrence import LinearLayer
from models.heads.deviates import normal_deviates
from models.state import State, StateInit

# Rows that the short and the long mean remember: the short one is the paper's; the long one outlasts any
# single anomaly many times and still follows a series that changes for good.
SHORT_ROWS, LONG_ROWS = 10.0, 2000.0
# Observations before a forecast tells anything.
WARM_UP = 4.0
# A deviate beyond says no more, and must not fill the long run's mean.
_FURTHEST = 8.0
# Of the forecast's whole width: the least distance of two levels.
_LEAST_SHARE = 1e-3
_LEAST_VARIANCE = 1e-4
_FORECAST, _MEANS, _COUNT = "anomaly_forecast", "anomaly_means", "anomaly_count"


class Anomaly(nn.Module):
    """Scores rows by the first step of the forecast before them; Q quantile levels.

    States: that forecast and the least gap of its levels, 0 where it does not count, (Q + 1,); the short
    mean, the long mean and the long mean square of the surprise, (3,); the numbers of observations and of
    scored rows, as far as they matter, (2,).
    """

    deviates: Tensor
    least: Tensor
    most: Tensor
    memory: Tensor

    def __init__(self, levels: Sequence[float]) -> None:
        super().__init__()
        self.num_levels = len(levels)
        self.means = _Means()
        known = normal_deviates(np.array(levels))
        self.first = float(known[0])
        # A line between two levels ends there; the outermost go on.
        least, most = np.zeros(len(levels) - 1), np.ones(len(levels) - 1)
        least[0], most[-1] = -math.inf, math.inf
        for name, value in (
            ("deviates", np.diff(known)),
            ("least", least),
            ("most", most),
            ("memory", np.array([1 / SHORT_ROWS, 1 / LONG_ROWS, 1 / LONG_ROWS])),
        ):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32), persistent=False)

    def state_init(self) -> dict[str, StateInit]:
        """See the class."""
        return {
            _FORECAST: StateInit((self.num_levels + 1,)),
            _MEANS: StateInit((3,)),
            _COUNT: StateInit((2,)),
        }

    def forward(self, y: Tensor, quantiles: Tensor, width: Tensor, state: State) -> tuple[Tensor, State]:
        """Score the rows of a chunk.

        Args:
            y: (B, T, 1) float64, the target about a point that never changes; NaN where missing.
            quantiles: (B, T, Q) float32, the next step's after each row, about the same point, ascending.
            width: of all levels, (B, T, 1) float32, positive.
            state: by name; not changed.

        Returns:
            (B, T, 2) float32: quantile position and tail probability of each row, NaN where there was no
            forecast or no value; the next state.
        """
        observed = y == y
        mark = observed.to(torch.float32)
        observations, scored = state[_COUNT].unsqueeze(1).chunk(2, dim=-1)
        count = observations + torch.cumsum(mark, dim=1)
        counts = (count >= WARM_UP).to(torch.float32)
        made = torch.cat([quantiles, counts * (_LEAST_SHARE * width)], dim=-1)
        earlier = torch.cat([state[_FORECAST].unsqueeze(1), made[:, :-1]], dim=1)
        before, gap = torch.split(earlier, [self.num_levels, 1], dim=-1)
        value = torch.where(observed, y, 0.0).to(torch.float32)
        mark = mark * (gap > 0).to(torch.float32)
        # Where nothing was forecast, nothing is divided by nothing.
        deviate = torch.where(mark > 0, self._deviate(value, before, gap), 0.0)
        number = scored + torch.cumsum(mark, dim=1)
        means, (last,) = self.means([deviate.abs(), mark, number, self.memory], state[_MEANS])
        means = means.transpose(0, 1)
        scores = torch.cat([upper_tail(-deviate), self._tail(means)], dim=-1)
        after = torch.cat([count.clamp(max=WARM_UP), number.clamp(max=LONG_ROWS)], dim=-1)[:, -1]
        return torch.where(mark > 0, scores, torch.nan), {_FORECAST: made[:, -1], _MEANS: last, _COUNT: after}

    def _deviate(self, value: Tensor, quantiles: Tensor, least_gap: Tensor) -> Tensor:
        """The normal deviate at the level of a value, (B, T, 1): levels are joined by lines on its axis."""
        lower, upper = quantiles[..., :-1], quantiles[..., 1:]
        share = (value - lower) / torch.maximum(upper - lower, least_gap)
        share = torch.maximum(torch.minimum(share, self.most), self.least)
        deviate = self.first + (share * self.deviates).sum(dim=-1, keepdim=True)
        return deviate.clamp(-_FURTHEST, _FURTHEST)

    def _tail(self, means: Tensor) -> Tensor:
        """How likely a short mean as high as this is by chance, (B, T, 1)."""
        short, long, square = torch.split(means, [1, 1, 1], dim=-1)
        deviation = torch.sqrt((square - long * long).clamp(min=_LEAST_VARIANCE))
        # The deviation of an exponential mean of independent numbers, as a share of theirs.
        share = math.sqrt(1 / (2 * SHORT_ROWS - 1))
        return upper_tail((short - long) / (share * deviation))


class _Means(LinearLayer):
    """Running means: over all rows at first, then exponential ones."""

    def project(self, x: Sequence[Tensor]) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Surprise, mark, number of scored rows, (B, T, 1) each, and 1 / rows remembered, (3,)."""
        surprise, mark, number, memory = (part.detach() for part in x)
        rate = torch.maximum(memory, 1 / number.clamp(min=1.0)) * mark
        moments = torch.cat([surprise, surprise, surprise * surprise], dim=-1)
        return (1 - rate).transpose(0, 1), (rate * moments).transpose(0, 1)


def upper_tail(x: Tensor) -> Tensor:
    """P(Z > x) of the standard normal, within 0.3 % however small (Börjesson & Sundberg 1979, eq. 9)."""
    size = x.abs()
    square = size * size
    density = torch.exp(-0.5 * square) / math.sqrt(2 * math.pi)
    tail = density / (0.661 * size + 0.339 * torch.sqrt(square + 5.51))
    return torch.where(x < 0, 1 - tail, tail)
