"""ETTh1 and ETTm1: seven columns of an electricity transformer, every window scored (Zhou et al. 2021)."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.accuracy.problem import Batch, DataMissing, Problem, Whole
from training import scores

# Steps an hour and, in months of 30 days, the parts: 12 to train on, 4 to choose on, 4 to test on.
_FILES = {"ETTh1": ("ETTh1.csv", 1, "h"), "ETTm1": ("ETTm1.csv.gz", 4, "15min")}
_MONTH_HOURS = 30 * 24
_TRAIN, _VALIDATION, _TEST = 12, 4, 4
# Windows whose quantile losses are summed at once: of more, the horizon of 720 is out of the cache.
_PIECE = 32


def problem(folder: Path, name: str, horizon: int) -> Problem:
    """The columns as seven series, standardised with the training part's mean and deviation.

    Raises:
        DataMissing: the folder lacks the file.
    """
    file, steps, freq = _FILES[name]
    path = folder / "ett" / file
    if not path.exists():
        raise DataMissing(path)
    frame = pd.read_csv(path, parse_dates=["date"])
    month = _MONTH_HOURS * steps
    frame = frame.iloc[: (_TRAIN + _VALIDATION + _TEST) * month]
    times = frame["date"].to_numpy().astype("datetime64[us]")
    columns = frame.drop(columns="date")
    trained = columns.iloc[: _TRAIN * month]
    standard = (columns - trained.mean()) / trained.std(ddof=0)
    series = tuple(
        Whole(str(column), times, standard[[column]].to_numpy(np.float64), (_TRAIN + _VALIDATION) * month)
        for column in standard
    )
    return Problem(("y",), freq, horizon, 24 * steps, _VALIDATION * month, series)


def score(problem: Problem, batches: Iterable[Batch]) -> dict[str, float]:
    """MSE and MAE over windows, steps and columns, of the mean and of the median forecast; wQL."""
    levels = np.array(problem.levels)
    middle = scores.median_column(levels)
    each = np.full(len(levels), 1 / len(levels))
    sums, losses, size, num = np.zeros(4), np.zeros(len(levels)), 0.0, 0
    for batch in batches:
        actual, forecast = problem.actual(batch), batch.forecast.astype(np.float64)
        errors = [actual - forecast @ each, actual - forecast[..., middle]]
        sums += [score for error in errors for score in ((error**2).sum(), np.abs(error).sum())]
        for at in range(0, len(actual), _PIECE):
            piece = slice(at, at + _PIECE)
            losses += scores.pinball(actual[piece], forecast[piece], levels).sum(axis=(0, 1))
        size += float(np.abs(actual).sum())
        num += actual.size
    mean_mse, mean_mae, median_mse, median_mae = (sums / num).tolist()
    return {
        "mean_mse": mean_mse,
        "mean_mae": mean_mae,
        "median_mse": median_mse,
        "median_mae": median_mae,
        "wql": float(np.mean(2 * losses / size)),
    }


def choose(found: dict[str, float]) -> Callable[[dict[str, float]], dict[str, float]]:
    """By these scores, which point forecast has the lower MSE; reads its scores as `mse` and `mae`."""
    point = min(("mean", "median"), key=lambda name: found[f"{name}_mse"])
    return lambda of: {"mse": of[f"{point}_mse"], "mae": of[f"{point}_mae"], "wql": of["wql"]}
