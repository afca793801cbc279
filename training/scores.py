"""Forecast scores, in numpy alone. Missing actual values (NaN) are left out of every mean.

Shapes: N forecasts, K steps ahead, Q quantile levels.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def pinball(actual: Floats, forecast: npt.NDArray[np.floating], levels: Floats) -> Floats:
    """Quantile loss of each value, (N, K, Q), in the unit of `actual` (N, K).

    rho_q(u) = max(q u, (q - 1) u), u = actual - forecast (Koenker & Bassett 1978).
    """
    error = actual[..., None] - forecast
    return np.maximum(levels * error, (levels - 1) * error)


def mean_absolute_error(actual: Floats, point: npt.NDArray[np.floating]) -> float:
    """mean |actual - point|, both (N, K)."""
    return _mean(np.abs(actual - point))


def symmetric_percentage_error(actual: Floats, point: npt.NDArray[np.floating]) -> float:
    """sMAPE, 0 to 200: 100 mean(2 |y - f| / (|y| + |f|)), 0 / 0 = 0 (Makridakis et al. 2018)."""
    size = np.abs(actual) + np.abs(point)
    return 100 * _mean(2 * np.abs(actual - point) / np.where(size > 0, size, 1.0))


def seasonal_scale(history: Floats, season_length: int) -> float:
    """Mean |y_t - y_{t-m}| over `history` (T,): the denominator of MASE (Hyndman & Koehler 2006, eq. 3).

    Falls back to m = 1 where the history is shorter than a season; NaN where nothing ever changed.
    """
    for lag in (season_length, 1):
        changes = np.abs(history[lag:] - history[:-lag])
        if (~np.isnan(changes)).any():
            mean = float(np.nanmean(changes))
            return mean if mean > 0 else float("nan")
    return float("nan")


def weighted_quantile_loss(actual: Floats, forecast: npt.NDArray[np.floating], levels: Floats) -> float:
    """Mean over levels of 2 sum(rho_q) / sum |y| (Salinas et al. 2020, section 4.3)."""
    total = float(np.nansum(np.abs(actual)))
    if total == 0:
        return float("nan")
    return float(np.nanmean(2 * np.nansum(pinball(actual, forecast, levels), axis=(0, 1)) / total))


def coverage(actual: Floats, lower: npt.NDArray[np.floating], upper: npt.NDArray[np.floating]) -> float:
    """Share of actual values within [lower, upper], all (N, K)."""
    inside = ((actual >= lower) & (actual <= upper)).astype(np.float64)
    return _mean(np.where(np.isnan(actual), np.nan, inside))


def seasonal_naive(history: Floats, horizon: int, season_length: int) -> Floats:
    """(T, K): after each row of `history` (T,), the value one season before each step to come.

    A missing value is that of the season before it, and before the first season the last value seen.
    NaN only where nothing was seen yet.
    """
    num, season = len(history), season_length
    # One row a season, values carried downwards: the newest value of each phase of the season.
    filled = history.copy()
    for at in range(season, num):
        if np.isnan(filled[at]):
            filled[at] = filled[at - season]
    last = np.where(np.isnan(history), 0, np.arange(num))
    persistent = history[np.maximum.accumulate(last)] if num else history
    origin = np.arange(num)[:, None]
    ahead = np.arange(1, horizon + 1)[None, :]
    source = origin + ahead - season * -(-ahead // season)
    seasonal = np.where(source >= 0, filled[np.maximum(source, 0)], np.nan)
    return np.where(np.isnan(seasonal), persistent[:, None], seasonal)


def median_column(levels: Floats) -> int:
    """Index of the level nearest the median: the point forecast."""
    return int(np.abs(levels - 0.5).argmin())


def _mean(values: Floats) -> float:
    return float(np.nanmean(values)) if (~np.isnan(values)).any() else float("nan")
