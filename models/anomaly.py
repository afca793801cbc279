"""How surprising each row is: where its value lies in the forecast made before it, and how rare that is.

The quantile position of a value is read off the forecast's levels. The tail probability does not trust
them: a model that is always wrong, or too sure, is so on every row. A row's surprise is its distance from the
median in units of the session's own errors of late; it is judged beside the session's earlier surprises,
alone and as the mean of the last few rows (as in the anomaly likelihood of Ahmad et al. 2017, Unsupervised
real-time anomaly detection for streaming data, section 3.2). See docs/decisions/0021-rare-among-its-own.md.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from models.heads.deviates import normal_deviates
from models.state import State, StateInit
from models.tail import LONG_ROWS, RunningMeans, Tail, upper_tail

# Rows that the unit of errors remembers, and the mean of the last few (the paper's).
_ERROR_ROWS, _SHORT_ROWS = 300.0, 10.0
# Scored rows after which a session's errors need no help of its forecasts' widths.
_WIDTH_ROWS = 20.0
# Observations before a forecast tells anything.
WARM_UP = 4.0
# Of the forecast's whole width: the least distance of two levels.
_LEAST_SHARE = 1e-3
# A quantile position's deviate goes no further: float32 knows no difference beyond.
_FURTHEST = 8.0
# Of a session's surprises before there are any: the mean of log(1 + |Z|), Z standard normal, and twice its
# deviation, as most streams have heavier tails.
_FIRST_MEAN, _FIRST_DEVIATION = 0.535, 2 * 0.317
# Mean of |Z|.
_MEAN_SIZE = math.sqrt(2 / math.pi)
_FORECAST, _MEANS, _COUNT = "anomaly_forecast", "anomaly_means", "anomaly_count"


class Anomaly(nn.Module):
    """Scores rows by the first step of the forecast before them; Q quantile levels.

    States: that forecast and its width, 0 where it does not count, (Q + 1,); running means, of the error, of
    the surprise over a few rows, and what `Tail` keeps of both kinds of surprise, (10,); the numbers of
    observations and of scored rows, as far as they matter, (2,).
    """

    deviates: Tensor
    least: Tensor
    most: Tensor
    median: Tensor

    def __init__(self, levels: Sequence[float]) -> None:
        super().__init__()
        self.num_levels = len(levels)
        self.errors, self.lately = RunningMeans(_ERROR_ROWS), RunningMeans(_SHORT_ROWS)
        self.tail = Tail(2, _FIRST_MEAN, _FIRST_DEVIATION)
        known = normal_deviates(np.array(levels))
        self.first, self.spread = float(known[0]), float(known[-1] - known[0])
        # A line between two levels ends there; the outermost go on.
        least, most = np.zeros(len(levels) - 1), np.ones(len(levels) - 1)
        least[0], most[-1] = -math.inf, math.inf
        constants = (("deviates", np.diff(known)), ("least", least), ("most", most))
        for name, value in constants:
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32), persistent=False)
        median = torch.tensor([int(np.abs(np.array(levels) - 0.5).argmin())])
        self.register_buffer("median", median, persistent=False)

    def state_init(self) -> dict[str, StateInit]:
        """See the class."""
        return {
            _FORECAST: StateInit((self.num_levels + 1,)),
            _MEANS: StateInit((2 + self.tail.size,)),
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
        made = torch.cat([quantiles, (count >= WARM_UP).to(torch.float32) * width], dim=-1)
        earlier = torch.cat([state[_FORECAST].unsqueeze(1), made[:, :-1]], dim=1)
        before, width_before = torch.split(earlier, [self.num_levels, 1], dim=-1)
        value = torch.where(observed, y, 0.0).to(torch.float32)
        mark = mark * (width_before > 0).to(torch.float32)
        number = scored + torch.cumsum(mark, dim=1)
        # Where nothing was forecast, nothing is divided by nothing.
        width_before = torch.where(mark > 0, width_before, 1.0)
        deviate = self._deviate(value, before, _LEAST_SHARE * width_before)
        error = (value - before.index_select(-1, self.median)).abs()
        chance, means = self._chance(error, width_before, mark, number, state[_MEANS])
        scores = torch.cat([upper_tail(-deviate), chance], dim=-1)
        after = torch.cat([count.clamp(max=WARM_UP), number.clamp(max=LONG_ROWS)], dim=-1)[:, -1]
        return torch.where(mark > 0, scores, torch.nan), {
            _FORECAST: made[:, -1],
            _MEANS: means,
            _COUNT: after,
        }

    def _deviate(self, value: Tensor, quantiles: Tensor, least_gap: Tensor) -> Tensor:
        """The normal deviate at the level of a value, (B, T, 1): levels are joined by lines on its axis."""
        lower, upper = quantiles[..., :-1], quantiles[..., 1:]
        share = (value - lower) / torch.maximum(upper - lower, least_gap)
        share = torch.maximum(torch.minimum(share, self.most), self.least)
        deviate = self.first + (share * self.deviates).sum(dim=-1, keepdim=True)
        return deviate.clamp(-_FURTHEST, _FURTHEST)

    def _chance(
        self, error: Tensor, width: Tensor, mark: Tensor, number: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        """How likely such a row, or a run of such rows, is by chance, (B, T, 1); the next means."""
        of_errors, of_lately, of_tail = torch.split(state, [1, 1, self.tail.size], dim=-1)
        mean, errors = self.errors.around(error, mark, number, of_errors)
        known = (number - mark).clamp(max=_ERROR_ROWS)
        # What the forecast's own width says of an error stands beside the first of them; later it is a floor.
        weight = torch.relu(1 - known / _WIDTH_ROWS)
        unit = (known * mean + weight * (_MEAN_SIZE / self.spread) * width) / (known + weight)
        unit = torch.maximum(unit, _LEAST_SHARE * width)
        surprise = torch.log(1 + _MEAN_SIZE * error / unit)
        # The first tells of the forecast's width alone: nothing is learned of it.
        mark, number = mark * (known > 0).to(torch.float32), torch.relu(number - 1)
        _, lately = self.lately.around(surprise, mark, number, of_lately)
        chances, tail = self.tail(torch.cat([surprise, lately], dim=-1), mark, number, of_tail)
        # The least of two numbers that are uniform by chance.
        least = torch.exp(chances.amin(dim=-1, keepdim=True))
        return least * (2 - least), torch.cat([errors[:, -1], lately[:, -1], tail], dim=-1)
