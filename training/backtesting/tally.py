"""Sums over what was judged, from which every score follows: forecasts are looked at once and let go.

The libraries that have these scores (utilsforecast, scoringrules) take all forecasts at once, as a table;
a backtest of a large file never has them all. So the formulas are here, in numpy, and the tests hold them
to utilsforecast's.

Shapes: N forecasts, K steps ahead, Q quantile levels, P central intervals.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from training.scores import Floats, median_column, pinball

Flags = npt.NDArray[np.bool_]


def central_intervals(num_levels: int) -> tuple[tuple[int, int], ...]:
    """Columns (lower, upper) of the P nested intervals, the widest first."""
    return tuple((inner, num_levels - 1 - inner) for inner in range(num_levels // 2))


@dataclass
class Tally:
    """Sums by step ahead. A value that is missing, or was not forecast, counts nowhere.

    Attributes:
        count: (K,) values judged.
        absolute, squared, symmetric: (K,) of |y - f|, (y - f)^2 and 2 |y - f| / (|y| + |f|), f the median.
        size: (K,) of |y|.
        pinball: (K, Q) of the quantile losses.
        below: (K, Q) values at or below each quantile.
        inside: (K, P) values within each central interval, its ends included.
        interval: (K, P) of the interval scores, see `interval_scores`.
    """

    count: Floats
    absolute: Floats
    squared: Floats
    symmetric: Floats
    size: Floats
    pinball: Floats
    below: Floats
    inside: Floats
    interval: Floats

    @classmethod
    def empty(cls, num_steps: int, num_levels: int) -> Self:
        """Nothing judged yet."""
        last = {"pinball": num_levels, "below": num_levels}
        last |= dict.fromkeys(("inside", "interval"), num_levels // 2)
        shapes = [(num_steps, last[field.name]) if field.name in last else num_steps for field in fields(cls)]
        return cls(*map(np.zeros, shapes))

    def add(self, actual: Floats, forecast: npt.NDArray[np.floating], levels: Floats) -> None:
        """Take in N forecasts (N, K, Q) and what came, (N, K)."""
        known = ~np.isnan(actual) & ~np.isnan(forecast).any(axis=-1)
        # A value of no weight in place of an unknown one keeps the sums plain.
        y = np.where(known, actual, 0.0)
        quantiles = np.where(known[..., None], forecast.astype(np.float64), 0.0)
        point = quantiles[..., median_column(levels)]
        error, size = np.abs(y - point), np.abs(y) + np.abs(point)
        self.count += known.sum(axis=0)
        self.absolute += error.sum(axis=0)
        self.squared += (error**2).sum(axis=0)
        self.symmetric += (2 * error / np.where(size > 0, size, 1.0)).sum(axis=0)
        self.size += np.abs(y).sum(axis=0)
        self.pinball += pinball(y, quantiles, levels).sum(axis=0)
        self.below += ((y[..., None] <= quantiles) & known[..., None]).sum(axis=0)
        self.inside += inside_intervals(y, quantiles, known).sum(axis=0)
        self.interval += interval_scores(y, quantiles, levels).sum(axis=0)

    def merge(self, other: "Tally") -> None:
        """Take in what another tally has; that one is left as it is."""
        for field in fields(self):
            getattr(self, field.name)[...] += getattr(other, field.name)

    def over_steps(self) -> "Tally":
        """All steps as one: (1,) and (1, ...)."""
        return Tally(*(getattr(self, field.name).sum(axis=0, keepdims=True) for field in fields(self)))


def inside_intervals(actual: Floats, quantiles: Floats, known: Flags) -> Flags:
    """(N, K, P): whether each value lies within each central interval; False where it is not known."""
    pairs = central_intervals(quantiles.shape[-1])
    lower = quantiles[..., [pair[0] for pair in pairs]]
    upper = quantiles[..., [pair[1] for pair in pairs]]
    y = actual[..., None]
    return (y >= lower) & (y <= upper) & known[..., None]


def interval_scores(actual: Floats, quantiles: Floats, levels: Floats) -> Floats:
    """(N, K, P): width, and what lies outside over the share that may (Gneiting & Raftery 2007, eq. 43).

        (u - l) + (l - y)^+ / tau_l + (y - u)^+ / (1 - tau_u)

    With tau_l = 1 - tau_u = alpha / 2 that is the familiar 2 / alpha.
    """
    pairs = central_intervals(len(levels))
    low, high = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    lower, upper, y = quantiles[..., low], quantiles[..., high], actual[..., None]
    below, above = np.maximum(lower - y, 0) / levels[low], np.maximum(y - upper, 0) / (1 - levels[high])
    found: Floats = upper - lower + below + above
    return found


def level_weights(levels: Floats) -> Floats:
    """(Q,) the part of (0, 1) that is nearest to each level; sums to one.

    CRPS is twice the quantile loss integrated over all levels (Gneiting & Ranjan 2011). Here each level
    stands for the part nearest to it: beyond the outermost ones the loss is taken for theirs.
    """
    edges = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [1.0]])
    return np.diff(edges)
