"""A backtest's scores as people read them: a line for the model, and one for each baseline."""

from collections.abc import Mapping, Sequence

from training.score_names import METRICS

# What a terminal of 80 columns has room for, and how it is headed; the manifest holds all.
SHOWN = {
    "mae": "mae",
    "rmse": "rmse",
    "mase": "mase",
    "smape": "smape",
    "weighted_quantile_loss": "wQL",
    "coverage": "coverage",
    "accuracy": "accuracy",
    "log_loss": "log_loss",
}
_TITLES = {
    "": "model",
    "arima": "ARIMA",
    "holt_winters": "Holt-Winters",
    "markov_chain": "Markov chain",
    "markov_switching": "Markov switching",
}


def by_forecaster(backtest: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Scores by metric, by who forecast: of `drift_mae`, the drift's mae. The model comes first."""
    found: dict[str, dict[str, float]] = {}
    for name, value in backtest.items():
        metric = next((metric for metric in METRICS if name == metric or name.endswith(f"_{metric}")), name)
        prefix = name.removesuffix(metric).rstrip("_")
        found.setdefault(_TITLES.get(prefix, prefix.replace("_", " ")), {})[metric] = value
    return found


def matrix_lines(matrix: Sequence[Sequence[float]]) -> list[str]:
    """A transition matrix in whole percent, a line for each state that is left."""
    return ["".join(f"{share:>5.0%}" for share in row) for row in matrix]
