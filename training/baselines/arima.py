"""ARIMA on seasonal differences."""

import numpy as np

from training.baselines.differences import MOST_ROWS, differences, lag_of, undo
from training.baselines.fitting import fitted
from training.scores import Floats

_MOST_ITERATIONS = 50


def arima(target: Floats, num_fitted: int, horizon: int, season_length: int) -> Floats | None:
    """(1, 0, 1)(0, 1, 0)_m with a drift (Box & Jenkins 1970); without a season (1, 1, 1) with a drift.

    statsmodels fits it to the last rows of the training part; its Kalman filter goes on over the rows
    that follow with the parameters as they are, and knows what to do with missing ones. See
    `training.baselines.Baseline`; None where the rows are too few to fit.
    """
    lag = lag_of(num_fitted, season_length)
    start = max(num_fitted - MOST_ROWS, 0)
    changes = differences(target, lag)[start + lag :]
    num_known = num_fitted - start - lag
    known = changes[: max(num_known, 0)]
    known = known[~np.isnan(known)]
    if len(known) < 10 or not np.std(known) > 0:
        return None
    made = fitted(lambda: _one_step(changes, num_known))
    if made is None:
        return None
    one_step, mean, phi = made
    # An ARMA(1, 1)'s forecasts return to the mean by the power of phi from the second step on.
    ahead = mean + (one_step - mean)[:, None] * phi ** np.arange(horizon)
    before = np.full((start + lag, horizon), np.nan)
    return undo(target, np.concatenate([before, ahead]), lag)


def _one_step(changes: Floats, num_fitted: int) -> tuple[Floats, float, float]:
    """(T,) the next change as expected after each row; the mean change; phi."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    def model(rows: Floats) -> SARIMAX:
        return SARIMAX(rows, order=(1, 0, 1), trend="c")

    parameters = model(changes[:num_fitted]).fit(disp=False, maxiter=_MOST_ITERATIONS).params
    constant, phi = float(parameters[0]), float(parameters[1])
    # One missing row more, whose expectation is that after the last.
    filtered = model(np.append(changes, np.nan)).filter(parameters)
    return filtered.filter_results.forecasts[0, 1:], constant / (1 - phi), phi
