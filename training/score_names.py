"""What scores are called. Nothing heavy is imported: options are checked against these names."""

# Of a point forecast and of the model alike, in the order of columns.
POINT_METRICS = ("mae", "mse", "rmse", "mase", "smape", "weighted_quantile_loss", "crps")
# Of intervals, which baselines do not have.
INTERVAL_METRICS = ("msis", "coverage")
LABEL_METRICS = ("accuracy", "log_loss")
METRICS = (*POINT_METRICS, *INTERVAL_METRICS, *LABEL_METRICS)

QUICK_BASELINES = ("seasonal_naive", "naive", "drift", "markov_chain")
# These take seconds for each series.
FITTED_BASELINES = ("holt_winters", "arima", "markov_switching")
LABEL_BASELINES = ("most_frequent", "markov_chain")


def score_names(*, labels: bool) -> tuple[str, ...]:
    """Every score that a model can have: its own, then each baseline's, `seasonal_naive_mase` and so on."""
    if labels:
        return (*LABEL_METRICS, *_of_baselines(LABEL_BASELINES, LABEL_METRICS))
    every = QUICK_BASELINES + FITTED_BASELINES
    return (*POINT_METRICS, *INTERVAL_METRICS, *_of_baselines(every, POINT_METRICS))


def _of_baselines(baselines: tuple[str, ...], metrics: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{baseline}_{metric}" for baseline in baselines for metric in metrics)
