"""GEFCom2012 load: 20 zones, 24 hours ahead after every hour of the last year (Hong et al. 2014)."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.accuracy.problem import Batch, DataMissing, Problem, Whole
from training import scores

Indices = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

HORIZON, WEEK = 24, 168
SPREAD = "seasonal naive with spread"
_FIRST = np.datetime64("2004-01-01T00", "us")
_YEAR, _VALIDATION = 365 * 24, 120 * 24


def problem(folder: Path) -> Problem:
    """Every zone and, as a covariate, the mean temperature of the stations: which is whose is not told.

    A temperature is known up to the row at hand, not ahead. The file has no times; rows whose loads are
    missing stay, as missing values.

    Raises:
        DataMissing: the folder lacks a file.
    """
    load, temperature = (_read(folder / "gefcom2012" / f"{name}.csv.gz") for name in ("load", "temp"))
    times = _FIRST + np.arange(len(load)) * np.timedelta64(1, "h")
    mean = temperature.mean(axis=1).to_numpy(np.float64)
    of_zones = {str(zone): features(load[zone].to_numpy(np.float64), mean) for zone in load}
    series = tuple(
        Whole(zone, times, np.column_stack(list(columns.values())), len(load) - _YEAR)
        for zone, columns in of_zones.items()
    )
    names = tuple(next(iter(of_zones.values())))
    return Problem(names, "h", HORIZON, WEEK, _VALIDATION, series)


def features(load: Values, temperature: Values) -> dict[str, Values]:
    """The columns of a zone's rows, the target first."""
    return {"y": load, "temperature": temperature}


def score(problem: Problem, batches: Iterable[Batch]) -> dict[str, float]:
    """wQL over all, MASE over the week, the share of values between the outer levels: overall and each month.

    `coverage_01` is January's, by the time of the value that was forecast.
    """
    levels = np.array(problem.levels)
    middle = scores.median_column(levels)
    losses, size, scaled = np.zeros(len(levels)), 0.0, []
    inside, known = np.zeros(12), np.zeros(12)
    for batch in batches:
        one = problem.series[batch.series]
        actual, forecast = problem.actual(batch), batch.forecast.astype(np.float64)
        losses += np.nansum(scores.pinball(actual, forecast, levels), axis=(0, 1))
        size += float(np.nansum(np.abs(actual)))
        scale = scores.seasonal_scale(one.values[: one.test_start, 0], problem.season)
        scaled.append(np.abs(actual - forecast[..., middle]) / scale)
        month = _months(one, batch.origins, problem.horizon)
        held = (actual >= forecast[..., 0]) & (actual <= forecast[..., -1])
        inside += np.bincount(month.ravel(), held.ravel(), 12)
        known += np.bincount(month.ravel(), (~np.isnan(actual)).ravel(), 12)
    by_month = np.divide(inside, known, out=np.full(12, np.nan), where=known > 0)
    of_months = {f"coverage_{at + 1:02}": share for at, share in enumerate(by_month.tolist()) if known[at]}
    return {
        "wql": float(np.mean(2 * losses / size)),
        "mase": float(np.nanmean(np.concatenate(scaled))),
        "coverage": float(inside.sum() / known.sum()),
        "coverage_lowest": min(of_months.values()),
        "coverage_highest": max(of_months.values()),
        **of_months,
    }


def with_ratios(by_method: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Each method's wQL in units of the weekly seasonal naive's, without and with its residuals' spread."""
    units = {"wql_ratio": "seasonal naive", "wql_ratio_spread": SPREAD}
    return {
        method: {**found, **{name: found["wql"] / by_method[unit]["wql"] for name, unit in units.items()}}
        for method, found in by_method.items()
    }


def naive_with_spread(problem: Problem) -> Iterator[Batch]:
    """The value a week before, plus the quantiles of that forecast's errors in the year before the test."""
    levels = np.array(problem.levels)
    for index, one in enumerate(problem.series):
        target, start = one.values[:, 0], one.test_start
        ahead = scores.seasonal_naive(target, problem.horizon, problem.season)
        # Within a week ahead every step has the same distance, hence the same errors.
        past = target[start - _YEAR : start] - target[start - _YEAR - WEEK : start - WEEK]
        spread = np.nanquantile(past, levels)
        origins = problem.test_origins(one)
        yield Batch(index, origins, ahead[origins][..., None] + spread)


def _months(one: Whole, origins: Indices, horizon: int) -> Indices:
    """(n, K) 0 for January, of each value that is forecast."""
    months = one.times.astype("datetime64[M]").astype(np.int64) % 12
    of_values: Indices = months[origins[:, None] + np.arange(1, horizon + 1)]
    return of_values


def _read(path: Path) -> pd.DataFrame:
    if not path.exists():
        raise DataMissing(path)
    return pd.read_csv(path)
