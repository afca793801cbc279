"""The last value."""

from training.scores import Floats, seasonal_naive


def naive(target: Floats, _num_fitted: int, horizon: int, _season_length: int) -> Floats | None:
    """y_{t+k} = y_t, the last one observed. See `training.baselines.Baseline`."""
    return seasonal_naive(target, horizon, 1)
