"""How rare a statistic is among those before it, without keeping them: running means alone.

The body of the distribution is taken as normal. Beyond a cut of some deviations above the mean it is the
share that lay there and an exponential of their mean excess: peaks over a threshold (Pickands 1975; Siffer et
al. 2017, Anomaly detection in streams with extreme value theory). Of a logarithm that is a power law (Hill
1975). So a probability means the same of a series with heavy tails as of one without.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.cells.linear_recurrence import LinearLayer

# Rows that the long run remembers: it outlasts any single anomaly and still follows a series that changes.
LONG_ROWS = 2000.0
# Deviations above the mean where the tail begins. Of what was rarer still, the share that lay there.
_CUT, _SHARE = 3.0, 0.01
# What is believed before there are rows weighs as many.
_BELIEF_ROWS = 100.0
# Of one row's excess, in deviations, no more enters the mean: an anomaly must not hide the next one.
_MOST_EXCESS = 3.0
_FIRST_EXCESS = 0.5
# Nor of a statistic itself.
_MOST = 6.0
_LEAST_VARIANCE = 0.01
# A row lies beyond the cut along a ramp, in deviations: see `models.calibration`.
_RAMP = 0.1
# Natural logarithm of the least probability; float32 goes no lower than -87 without losing digits.
_LEAST = -80.0


class RunningMeans(LinearLayer):
    """N means over all rows at first, then exponential ones of some rows."""

    repeat: Tensor

    def __init__(self, rows: float, num_means: int = 1) -> None:
        super().__init__()
        self.rows = rows
        self.register_buffer("repeat", torch.ones(1, num_means), persistent=False)

    def project(self, x: Sequence[Tensor]) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Values (B, T, N); mark and number of marked rows so far, (B, T, 1)."""
        values, mark, number = (part.detach() for part in x)
        rate = torch.maximum(1 / number.clamp(min=1.0), torch.full_like(number, 1 / self.rows)) * mark
        rate = rate @ self.repeat  # by a product, see `models.calibration`
        return (1 - rate).transpose(0, 1), (rate * values).transpose(0, 1)

    def around(self, values: Tensor, mark: Tensor, number: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """The means before each row and after it, (B, T, N) both, from those before the first, (B, N)."""
        # torch 2.13 exports no scan whose state is a part of another tensor.
        after = self([values, mark, number], state.contiguous())[0].transpose(0, 1)
        return torch.cat([state.unsqueeze(1), after[:, :-1]], dim=1), after


class Tail(nn.Module):
    """Of S statistics side by side; each has `first_mean` and `first_deviation` before anything is known.

    State: the means of each statistic, of its square, of how often it lay beyond the cut and of by how much,
    (4 S,).
    """

    repeat: Tensor

    def __init__(self, num_statistics: int, first_mean: float, first_deviation: float) -> None:
        super().__init__()
        self.size = 4 * num_statistics
        self.num_statistics = num_statistics
        self.first_mean, self.first_square = first_mean, first_mean**2 + first_deviation**2
        self.moments = RunningMeans(LONG_ROWS, 2 * num_statistics)
        self.beyond = RunningMeans(LONG_ROWS, 2 * num_statistics)
        self.register_buffer("repeat", torch.ones(1, num_statistics), persistent=False)

    def forward(self, values: Tensor, mark: Tensor, number: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Judge the rows of a chunk, each by those before it.

        Args:
            values: (B, T, S) float32, finite.
            mark: 1 where a row counts, 0 where not, (B, T, 1).
            number: of rows that counted so far, (B, T, 1).
            state: (B, 4 S); not changed.

        Returns:
            Natural logarithms of the probabilities to be as high or higher, (B, T, S), and the next state.
        """
        known = (number - mark).clamp(max=LONG_ROWS)
        sure = (known / (known + _BELIEF_ROWS)) @ self.repeat
        of_moments, of_beyond = torch.split(state, self.size // 2, dim=-1)
        cut = values.clamp(max=_MOST)
        moments, moments_after = self.moments.around(
            torch.cat([cut, cut * cut], dim=-1), mark, number, of_moments
        )
        mean, square = torch.split(moments, self.num_statistics, dim=-1)
        mean = self.first_mean + sure * (mean - self.first_mean)
        square = self.first_square + sure * (square - self.first_square)
        deviation = torch.sqrt((square - mean * mean).clamp(min=_LEAST_VARIANCE))
        place = (values - mean) / deviation
        over = torch.relu(place - _CUT)
        counted = torch.cat([(over / _RAMP).clamp(max=1.0), over.clamp(max=_MOST_EXCESS)], dim=-1)
        beyond, beyond_after = self.beyond.around(counted, mark, number, of_beyond)
        chances = self._chances(place, over, beyond, sure)
        return chances, torch.cat([moments_after, beyond_after], dim=-1)[:, -1]

    def _chances(self, place: Tensor, over: Tensor, beyond: Tensor, sure: Tensor) -> Tensor:
        """From the place of each value, in deviations from the mean, what is over the cut, and the tail."""
        often, excess = torch.split(beyond, self.num_statistics, dim=-1)
        often = _SHARE + sure * (often - _SHARE)
        excess = _SHARE * _FIRST_EXCESS + sure * (excess - _SHARE * _FIRST_EXCESS)
        # The body bends from the normal's tail to the share that was found, over the way from the mean.
        bend = torch.log(often) - math.log(_normal_tail(_CUT))
        inside = place.clamp(max=_CUT)
        body = torch.log(upper_tail(inside)) + bend * torch.relu(inside) / _CUT
        return (body - over * often / excess).clamp(min=_LEAST)


def upper_tail(x: Tensor) -> Tensor:
    """P(Z > x) of the standard normal, within 0.3 % however small (Börjesson & Sundberg 1979, eq. 9)."""
    size = x.abs()
    square = size * size
    density = torch.exp(-0.5 * square) / math.sqrt(2 * math.pi)
    tail = density / (0.661 * size + 0.339 * torch.sqrt(square + 5.51))
    return torch.where(x < 0, 1 - tail, tail)


def _normal_tail(x: float) -> float:
    return 0.5 * math.erfc(x / math.sqrt(2))
