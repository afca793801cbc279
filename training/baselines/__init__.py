"""What a model must beat: forecasters without a network, by name.

Each sees a series up to a row and forecasts the K rows after it; what it is fitted to is the part before the
validation part. Shapes: T rows, K steps ahead.
"""

from collections.abc import Callable

from training.baselines.arima import arima
from training.baselines.drift import drift
from training.baselines.holt_winters import holt_winters
from training.baselines.markov_chain import MarkovChain
from training.baselines.markov_switching import markov_switching
from training.baselines.naive import naive
from training.scores import Floats, seasonal_naive

# Called with the target (T,), the rows it may be fitted to, K and the season's length; after each row the
# forecast, (T, K), NaN before the rows it was fitted to. None where the series gives nothing to fit.
Baseline = Callable[[Floats, int, int, int], Floats | None]


def _seasonal_naive(target: Floats, _num_fitted: int, horizon: int, season_length: int) -> Floats | None:
    return seasonal_naive(target, horizon, season_length)


# They cost next to nothing.
QUICK: dict[str, Baseline] = {"seasonal_naive": _seasonal_naive, "naive": naive, "drift": drift}
# Fitted by statsmodels: seconds for each series.
FITTED: dict[str, Baseline] = {
    "holt_winters": holt_winters,
    "arima": arima,
    "markov_switching": markov_switching,
}
CHAIN = "markov_chain"

__all__ = ["CHAIN", "FITTED", "QUICK", "Baseline", "MarkovChain"]
