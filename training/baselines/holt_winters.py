"""Exponential smoothing of level, trend and season."""

from typing import Any

import numpy as np
import pandas as pd

from training.baselines.differences import MOST_ROWS
from training.baselines.fitting import fitted
from training.scores import Floats

# statsmodels starts a season from two of them, and from ten rows more.
_SEASONS, _FEWEST_ROWS = 2, 10


def holt_winters(target: Floats, num_fitted: int, horizon: int, season_length: int) -> Floats | None:
    """Additive Holt-Winters (Holt 1957, Winters 1960): statsmodels' parameters, filtered on over every row.

        l_t = l + b + a e_t,  b_t = b + a b* e_t,  s_t = s + g e'_t

    in statsmodels' form with level a, trend b* and season g, e the error of the step. At a missing value it
    is zero. See `training.baselines.Baseline`; None where the rows are too few to fit.
    """
    start = max(num_fitted - MOST_ROWS, 0)
    filled = pd.Series(target[start:num_fitted]).interpolate(limit_direction="both")
    history: Floats = np.asarray(filled, np.float64)
    season = season_length if len(history) >= _SEASONS * season_length + _FEWEST_ROWS else 1
    if len(history) < _FEWEST_ROWS or not np.ptp(history) > 0:
        return None
    parameters = fitted(lambda: _parameters(history, season))
    if parameters is None:
        return None
    found = np.full((len(target), horizon), np.nan)
    found[start:] = _filtered(target[start:], parameters, season, horizon)
    return found


def _parameters(history: Floats, season: int) -> dict[str, Any]:
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    seasonal = {"seasonal": "add", "seasonal_periods": season} if season > 1 else {}
    model = ExponentialSmoothing(history, trend="add", initialization_method="heuristic", **seasonal)
    found: dict[str, Any] = model.fit().params
    return found


def _filtered(target: Floats, parameters: dict[str, Any], season: int, horizon: int) -> Floats:
    alpha, beta = parameters["smoothing_level"], parameters["smoothing_trend"]
    gamma = parameters["smoothing_seasonal"] if season > 1 else 0.0
    level, trend = float(parameters["initial_level"]), float(parameters["initial_trend"])
    seasons = np.array(parameters["initial_seasons"] if season > 1 else [0.0], dtype=np.float64)
    ahead = np.arange(1, horizon + 1)
    found = np.empty((len(target), horizon))
    for row, value in enumerate(target):
        phase, expected = row % season, level + trend
        if not np.isnan(value):
            before = level
            level = alpha * (value - seasons[phase]) + (1 - alpha) * expected
            seasons[phase] = gamma * (value - expected) + (1 - gamma) * seasons[phase]
            trend = beta * (level - before) + (1 - beta) * trend
        else:
            level = expected
        found[row] = level + trend * ahead + seasons[(row + ahead) % season]
    return found
