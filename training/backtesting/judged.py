"""Scores out of sums: one series', and those of many put together."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from training.backtesting.tally import Flags, Tally, level_weights
from training.scores import Floats


def scores_of(
    tally: Tally, levels: Floats, scale: float, *, is_point: bool, interval: int | None
) -> dict[str, Floats]:
    """Every score by step, (K,) each; NaN where nothing was judged or, of scaled ones, nothing ever changed.

    MASE (Hyndman & Koehler 2006), sMAPE from 0 to 200, the weighted quantile loss (Salinas et al. 2020,
    section 4.3), CRPS (`level_weights` says how near), MSIS (Gneiting & Raftery 2007, scaled as in M4).

    Args:
        scale: of the series, see `training.scores.seasonal_scale`; MASE and MSIS are in it.
        is_point: without intervals. A point forecast's quantiles are all the point.
        interval: column of the central interval whose coverage and MSIS are wanted, if any.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_absolute, mean_squared = tally.absolute / tally.count, tally.squared / tally.count
        found = {
            "mae": mean_absolute,
            "mse": mean_squared,
            "rmse": np.sqrt(mean_squared),
            "mase": mean_absolute / scale,
            "smape": 100 * tally.symmetric / tally.count,
            "weighted_quantile_loss": 2 * tally.pinball.mean(axis=1) / _or_nan(tally.size),
            "crps": 2 * tally.pinball @ level_weights(levels) / tally.count,
        }
        if not is_point and interval is not None:
            found["msis"] = tally.interval[:, interval] / tally.count / scale
            found["coverage"] = tally.inside[:, interval] / tally.count
    return found


def _or_nan(sums: Floats) -> Floats:
    return np.where(sums > 0, sums, np.nan)


@dataclass
class Pooled:
    """One forecaster over all series: K steps, Q levels.

    Attributes:
        tally: sums over all series.
        levels: (Q,).
        is_point, interval: see `scores_of`.
        scaled: of "mase" and "msis", the sum over the series of each one's own, by step (K,) and over all
            steps (1,), and how many had one.
    """

    tally: Tally
    levels: Floats
    is_point: bool
    interval: int | None
    scaled: dict[tuple[str, bool], tuple[Floats, Floats]] = field(default_factory=dict)

    def add(self, one: Tally, scale: float) -> dict[str, float]:
        """Take in a series; returns its scores over all steps."""
        self.tally.merge(one)
        whole = self._scores(one.over_steps(), scale)
        for by_step, found in ((True, self._scores(one, scale)), (False, whole)):
            for metric in {"mase", "msis"} & found.keys():
                known = np.isfinite(found[metric])
                sums, counts = self.scaled.get((metric, by_step), (np.zeros(1), np.zeros(1)))
                self.scaled[metric, by_step] = sums + np.where(known, found[metric], 0), counts + known
        return {metric: float(values[0]) for metric, values in whole.items()}

    def scores(self) -> dict[str, float]:
        """Over all steps: of all values alike, but MASE and MSIS as the mean over the series."""
        found = self._scores(self.tally.over_steps(), np.nan) | self._means(by_step=False)
        return {metric: float(values[0]) for metric, values in found.items()}

    def by_step(self) -> dict[str, Floats]:
        """The same of each step ahead, (K,) each."""
        return self._scores(self.tally, np.nan) | self._means(by_step=True)

    def _scores(self, tally: Tally, scale: float) -> dict[str, Floats]:
        return scores_of(tally, self.levels, scale, is_point=self.is_point, interval=self.interval)

    def _means(self, *, by_step: bool) -> dict[str, Floats]:
        with np.errstate(invalid="ignore"):
            return {
                metric: sums / counts
                for (metric, of_steps), (sums, counts) in self.scaled.items()
                if of_steps == by_step
            }


@dataclass
class Months:
    """How many values came in each calendar month, and how many inside each of P central intervals."""

    count: dict[str, int] = field(default_factory=dict)
    inside: dict[str, Floats] = field(default_factory=dict)

    def add(self, times: npt.NDArray[np.datetime64], known: Flags, inside: Flags) -> None:
        """Take in values at `times` (N, K): `known` (N, K), `inside` (N, K, P)."""
        names, member = np.unique(times.astype("datetime64[M]").ravel(), return_inverse=True)
        counts = np.bincount(member, weights=known.ravel())
        sums = np.zeros((len(names), inside.shape[-1]))
        np.add.at(sums, member, inside.reshape(len(member), -1))
        for name, count, row in zip(names.astype(str), counts, sums, strict=True):
            if count:
                self.count[name] = self.count.get(name, 0) + int(count)
                self.inside[name] = self.inside.get(name, np.zeros(len(row))) + row
