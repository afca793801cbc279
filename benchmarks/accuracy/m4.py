"""M4 Hourly: 414 series, 48 steps, forecast once at the end of each (Makridakis et al. 2018)."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.accuracy.problem import Batch, DataMissing, Problem, Whole
from training import scores
from training.scores import Floats

HORIZON, SEASON = 48, 24
# The files hold no dates; of one clock, hours of the day are at least a day apart in each series.
_FIRST = np.datetime64("2000-01-03T00", "us")
# Naive 2's on the hourly series: what OWA is relative to (M4's published table).
_NAIVE2_SMAPE, _NAIVE2_MASE = 18.383, 2.395


def problem(folder: Path) -> Problem:
    """Each series' published training part and, behind it, its published test part.

    Raises:
        DataMissing: the folder lacks a file.
    """
    past, to_come = (_read(folder / "m4" / f"Hourly-{part}.csv.gz") for part in ("train", "test"))
    whole = []
    for name, values in past.items():
        joined = np.concatenate([values, to_come[name]])
        times = _FIRST + np.arange(len(joined)) * np.timedelta64(1, "h")
        whole.append(Whole(name, times, joined[:, None], len(values)))
    return Problem(("y",), "h", HORIZON, SEASON, HORIZON, tuple(whole))


def score(problem: Problem, batches: Iterable[Batch]) -> dict[str, float]:
    """MASE as the mean over the series, in-sample season 24; sMAPE, ND and wQL over all; OWA."""
    levels = np.array(problem.levels)
    actual, forecast, scaled = [], [], []
    for batch in batches:
        one = problem.series[batch.series]
        actual.append(problem.actual(batch))
        forecast.append(batch.forecast.astype(np.float64))
        error = scores.mean_absolute_error(actual[-1], forecast[-1][..., scores.median_column(levels)])
        scaled.append(error / scores.seasonal_scale(one.values[: one.test_start, 0], problem.season))
    came, made = np.concatenate(actual), np.concatenate(forecast)
    median = made[..., scores.median_column(levels)]
    smape = scores.symmetric_percentage_error(came, median)
    # A series that never changes has no scale, as in `training.backtest`; M4 has none such.
    mase = float(np.nanmean(scaled))
    return {
        "mase": mase,
        "smape": smape,
        "owa": (smape / _NAIVE2_SMAPE + mase / _NAIVE2_MASE) / 2,
        "nd": scores.weighted_quantile_loss(came, median[..., None], np.array([0.5])),
        "wql": scores.weighted_quantile_loss(came, made, levels),
        "coverage": scores.coverage(came, made[..., 0], made[..., -1]),
    }


def _read(path: Path) -> dict[str, Floats]:
    """A row a series: its name, its values, then empty cells up to the longest."""
    if not path.exists():
        raise DataMissing(path)
    frame = pd.read_csv(path, index_col=0)
    rows = {str(name): row.to_numpy(np.float64) for name, row in frame.iterrows()}
    return {name: row[: np.flatnonzero(~np.isnan(row))[-1] + 1] for name, row in rows.items()}
