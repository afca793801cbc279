"""A regression whose mean and spread depend on a hidden regime."""

import numpy as np

from training.baselines.differences import MOST_ROWS, differences, lag_of, undo
from training.baselines.fitting import fitted
from training.scores import Floats

_REGIMES = 2


def markov_switching(target: Floats, num_fitted: int, horizon: int, season_length: int) -> Floats | None:
    """Changes since the season before, by two regimes that follow as a Markov chain (Hamilton 1989).

        y_t - y_{t-m} = mu_{S_t} + e_t,  e_t ~ N(0, sigma_{S_t}^2),  P(S_t | S_{t-1})

    statsmodels fits it to the last rows of the training part and filters on over the rest; missing changes
    are left out. See `training.baselines.Baseline`; None where the rows are too few to fit.
    """
    lag = lag_of(num_fitted, season_length)
    start = max(num_fitted - MOST_ROWS, 0)
    changes = differences(target, lag)
    rows = np.flatnonzero(~np.isnan(changes))
    rows = rows[rows >= start]
    num_known = int((rows < num_fitted).sum())
    if num_known < 10 or not np.std(changes[rows[:num_known]]) > 0:
        return None
    made = fitted(lambda: _regimes(changes[rows], num_known))
    if made is None:
        return None
    shares, means, transitions = made
    ahead, column = [], means
    for _ in range(horizon):
        column = transitions.T @ column
        ahead.append(shares @ column)
    found = np.full((len(target), horizon), np.nan)
    # At a row without a change the regimes are those of the last one that had one.
    last = np.searchsorted(rows, np.arange(len(target)), side="right") - 1
    found[last >= 0] = np.stack(ahead, axis=1)[last[last >= 0]]
    return undo(target, found, lag)


def _regimes(changes: Floats, num_fitted: int) -> tuple[Floats, Floats, Floats]:
    """(T, R) probabilities of the regimes after each change, (R,) their means, (R, R) to and from."""
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

    def model(rows: Floats) -> MarkovRegression:
        return MarkovRegression(rows, k_regimes=_REGIMES, switching_variance=True)

    known = model(changes[:num_fitted])
    parameters = known.fit(disp=False).params
    filtered = model(changes).filter(parameters)
    means = np.asarray(parameters)[known.parameters["exog"]]
    return filtered.filtered_marginal_probabilities, means, filtered.regime_transition[:, :, 0]
