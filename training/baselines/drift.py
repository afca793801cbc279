"""The last value, and the slope of the line from the first to it."""

import numpy as np

from training.scores import Floats


def drift(target: Floats, _num_fitted: int, horizon: int, _season_length: int) -> Floats | None:
    """y_{t+k} = y_t + k (y_t - y_1) / (t - 1) (Hyndman & Athanasopoulos 2021, 5.2), over observed values.

    See `training.baselines.Baseline`. None where nothing was observed.
    """
    known = ~np.isnan(target)
    if not known.any():
        return None
    first = int(known.argmax())
    rows = np.arange(len(target))
    last = np.maximum.accumulate(np.where(known, rows, 0))
    slope = (target[last] - target[first]) / np.maximum(last - first, 1)
    # A row without a value is a step further from the last one.
    ahead = (rows - last)[:, None] + np.arange(1, horizon + 1)
    return np.where((rows >= first)[:, None], target[last][:, None] + slope[:, None] * ahead, np.nan)
