"""What a backtest found."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.manifest import Manifest
from training.backtesting.judged import Months, Pooled
from training.backtesting.judging import Judging
from training.scores import Floats


@dataclass(frozen=True)
class SeriesScores:
    """One series' scores over all its forecasts: the model's, and each baseline's with its name before."""

    id: str
    num_forecasts: int
    scores: dict[str, float]


@dataclass(frozen=True)
class Backtest:
    """Scores of a model and of baselines on the same forecasts.

    Attributes:
        manifest: of the file.
        judging: how it was made; `num_steps` (K), `season_length` and `interval` as they came out.
        first_time, last_time: of the values that were judged; None where there were none.
        pooled: by forecaster; the model is "".
        by_series: in the order of the data.
        unjudged: ids of series that are too short to be judged.
        months: coverage by calendar month (UTC) of the value.
    """

    manifest: Manifest
    judging: Judging
    num_steps: int
    season_length: int
    interval: int | None
    first_time: np.datetime64 | None
    last_time: np.datetime64 | None
    pooled: Mapping[str, Pooled]
    by_series: Sequence[SeriesScores]
    unjudged: Sequence[str]
    months: Months

    @property
    def num_forecasts(self) -> int:
        return sum(one.num_forecasts for one in self.by_series)

    @property
    def scores(self) -> dict[str, float]:
        """By name: `mase`, `seasonal_naive_mase` and so on; one that has no value is left out."""
        every = {name: pooled.scores() for name, pooled in self.pooled.items()}
        return {
            f"{name}_{metric}".lstrip("_"): value
            for name, found in every.items()
            for metric, value in found.items()
            if math.isfinite(value)
        }

    @property
    def model(self) -> Pooled:
        return self.pooled[""]

    @property
    def coverages(self) -> Floats:
        """(K, P) share of values inside each central interval, by step ahead."""
        return _share(self.model.tally.inside, self.model.tally.count)

    @property
    def shares_below(self) -> Floats:
        """(Q,) share of values at or below each quantile: its level, where the model is calibrated."""
        whole = self.model.tally.over_steps()
        shares: Floats = _share(whole.below, whole.count)[0]
        return shares

    @property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """Levels (lower, upper) of the P central intervals, the widest first."""
        levels = self.manifest.quantile_levels
        return tuple((levels[at], levels[-1 - at]) for at in range(len(levels) // 2))

    def as_json(self) -> dict[str, Any]:
        """Plain values; None for a score that has no value."""
        inside = _share(self.model.tally.over_steps().inside, self.model.tally.over_steps().count)
        return {
            "model": self.manifest.name,
            "digest": self.manifest.digest,
            "first_time": None if self.first_time is None else f"{self.first_time}Z",
            "last_time": None if self.last_time is None else f"{self.last_time}Z",
            "horizon": self.num_steps,
            "stride": self.judging.stride,
            "season_length": self.season_length,
            "num_series": len(self.by_series),
            "num_forecasts": self.num_forecasts,
            "unjudged": list(self.unjudged),
            "interval": list(self.intervals[self.interval]) if self.interval is not None else None,
            "scores": _plain(self.scores),
            "intervals": [
                {"lower": lower, "upper": upper, "coverage": _plain(covered)}
                for (lower, upper), covered in zip(self.intervals, inside[0], strict=True)
            ],
            "quantiles": [
                {"level": level, "share_below": _plain(share)}
                for level, share in zip(self.manifest.quantile_levels, self.shares_below, strict=True)
            ],
            "by_step": self._steps_as_json(),
            "by_month": [
                {"month": month, "num_values": count, "coverage": _plain(covered)}
                for month, count, covered in self.by_month()
            ],
            "by_series": [
                {"id": one.id, "num_forecasts": one.num_forecasts, **_plain(one.scores)}
                for one in self.by_series
            ],
        }

    def by_month(self) -> list[tuple[str, int, float]]:
        """Month, values judged, and share inside the interval that heads the scores; oldest first."""
        if self.interval is None:
            return []
        counts, inside = self.months.count, self.months.inside
        return [
            (name, counts[name], float(inside[name][self.interval] / counts[name])) for name in sorted(counts)
        ]

    def _steps_as_json(self) -> list[dict[str, Any]]:
        every = {name: pooled.by_step() for name, pooled in self.pooled.items()}
        return [
            {"step": step + 1}
            | {
                f"{name}_{metric}".lstrip("_"): _plain(values[step])
                for name, found in every.items()
                for metric, values in found.items()
            }
            for step in range(self.num_steps)
        ]


def _share(part: Floats, count: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        found: Floats = part / count[:, None]
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return float(value) if math.isfinite(value) else None
