"""Differences to a season before, and the way back from forecasts of them."""

import numpy as np

from training.scores import Floats, seasonal_naive

# A fit takes seconds on so many rows, and older ones change little.
MOST_ROWS = 2_000
_SEASONS = 3


def lag_of(num_rows: int, season_length: int) -> int:
    """The season's length where the rows show some seasons, else 1."""
    return season_length if num_rows >= _SEASONS * season_length else 1


def differences(target: Floats, lag: int) -> Floats:
    """(T,) y_t - y_{t - lag}, NaN where either is missing and at the first rows."""
    return np.concatenate([np.full(lag, np.nan), target[lag:] - target[:-lag]])


def undo(target: Floats, changes: Floats, lag: int) -> Floats:
    """Forecasts (T, K) of `target`, from forecasts (T, K) of its differences.

    A missing value is that of the season before it, as of `seasonal_naive`.
    """
    horizon = changes.shape[1]
    ahead = seasonal_naive(target, min(horizon, lag), lag)
    columns: list[Floats] = []
    for step in range(horizon):
        before = columns[step - lag] if step >= lag else ahead[:, step]
        columns.append(before + changes[:, step])
    return np.stack(columns, axis=1)
