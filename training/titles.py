"""What forecasters and scores are called where people read them."""

TITLES = {
    "": "model",
    "arima": "ARIMA",
    "holt_winters": "Holt-Winters",
    "markov_chain": "Markov chain",
    "markov_switching": "Markov switching",
}
HEADS = {
    "mae": "MAE",
    "mse": "MSE",
    "rmse": "RMSE",
    "mase": "MASE",
    "smape": "sMAPE",
    "weighted_quantile_loss": "wQL",
    "crps": "CRPS",
    "msis": "MSIS",
    "log_loss": "log loss",
}


def title_of(forecaster: str) -> str:
    return TITLES.get(forecaster, forecaster.replace("_", " "))


def head_of(metric: str) -> str:
    return HEADS.get(metric, metric)
