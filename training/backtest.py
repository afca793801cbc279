"""Score the exported file, not the module: each series is streamed through ONNX Runtime."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime

from models.artifact import unseal
from models.manifest import Manifest
from training import scores
from training.baselines import CHAIN, FITTED, QUICK, Baseline, MarkovChain
from training.dataset import SeriesData
from training.label_scores import label_scores, transitions_of
from training.segments import targets_of
from training.streaming import session_of, stream

# Labels of a chain whose matrix is shown.
_MOST_SHOWN = 16


@dataclass(frozen=True)
class _Judged:
    """One series' held-out origins: N of them, K steps ahead, Q levels; `scale` is MASE's denominator.

    `baselines` are point forecasts (N, K) by name, None of one that the series gives nothing to fit.
    """

    actual: npt.NDArray[np.float64]
    forecast: npt.NDArray[np.float64]
    baselines: dict[str, npt.NDArray[np.float64] | None]
    scale: float


def backtest(content: bytes, series: Sequence[SeriesData], *, fitted: bool = False) -> dict[str, float]:
    """Forecast after every row of the validation part and score against what came.

    Each series runs from its first row; every forecast that lies wholly in the validation part counts.
    Early stopping chose the weights on the same part, so the scores lean a little to the good side.

    Args:
        content: a sealed file.
        series: as it was trained on.
        fitted: also score the baselines that statsmodels fits, which takes seconds for each series.

    Returns:
        mae, smape, weighted_quantile_loss and coverage over all forecasts, mase as the mean over the
        series; the same point scores of each baseline, its name before the score's. Of a classifier, what
        `label_scores` gives. A score that has no data, and a baseline that a series gives nothing to
        fit, is left out.
    """
    _, manifest = unseal(content)
    session = session_of(content)
    if manifest.labels:
        return label_scores(manifest, series, [_held_out_stream(session, manifest, one) for one in series])
    baselines = _baselines(series, fitted)
    judged = [_judge(session, manifest, one, baselines) for one in series]
    return {name: value for name, value in _scores(judged, manifest) if np.isfinite(value)}


def _held_out_stream(
    session: onnxruntime.InferenceSession, manifest: Manifest, one: SeriesData
) -> npt.NDArray[np.float32]:
    """Of a series that nothing is held out of, nothing is forecast."""
    if one.validation_start < len(one.times):
        return stream(session, manifest, one.values)
    return np.zeros((0, manifest.horizon, manifest.num_columns), np.float32)


def chain_of(series: Sequence[SeriesData]) -> MarkovChain:
    """The Markov chain over the binned values of the training parts."""
    return MarkovChain.fit([one.target[: one.validation_start] for one in series])


def transition_matrix(manifest: Manifest, series: Sequence[SeriesData]) -> tuple[tuple[float, ...], ...]:
    """What the manifest shows of the Markov chain; nothing of more labels than a reader takes in."""
    if len(manifest.labels) > _MOST_SHOWN:
        return ()
    matrix = transitions_of(manifest, series) if manifest.labels else chain_of(series).transitions
    return () if matrix is None else tuple(map(tuple, matrix.round(4).tolist()))


def _baselines(series: Sequence[SeriesData], fitted: bool) -> dict[str, Baseline]:
    return {**QUICK, CHAIN: chain_of(series).forecasts, **(FITTED if fitted else {})}


def _judge(
    session: onnxruntime.InferenceSession,
    manifest: Manifest,
    one: SeriesData,
    baselines: Mapping[str, Baseline],
) -> _Judged:
    # From the last training row on, up to the last row whose whole horizon was seen. A forecast that lags is
    # made at a later row, and of its steps those after that row are judged: the others have been seen.
    seen, season = manifest.look_ahead, manifest.season_length
    num_ahead, num_fitted = manifest.horizon - seen, one.validation_start
    origins = slice(one.validation_start - 1 + seen, len(one.times) - manifest.horizon + seen)
    points = {
        name: forecast(one.target, num_fitted, num_ahead, season) for name, forecast in baselines.items()
    }
    return _Judged(
        actual=targets_of(one.target, num_ahead)[origins],
        forecast=stream(session, manifest, one.values)[origins, seen:].astype(np.float64),
        baselines={name: None if point is None else point[origins] for name, point in points.items()},
        scale=scores.seasonal_scale(one.target[:num_fitted], season),
    )


def _scores(judged: Sequence[_Judged], manifest: Manifest) -> Iterator[tuple[str, float]]:
    levels = np.array(manifest.quantile_levels)
    middle = scores.median_column(levels)
    actual = np.concatenate([one.actual for one in judged])
    forecast = np.concatenate([one.forecast for one in judged])
    points = {"": [one.forecast[..., middle] for one in judged], **_points_of_baselines(judged)}
    for prefix, by_series in points.items():
        yield f"{prefix}mae", scores.mean_absolute_error(actual, np.concatenate(by_series))
        yield f"{prefix}smape", scores.symmetric_percentage_error(actual, np.concatenate(by_series))
        yield f"{prefix}mase", _mean_scaled_error(judged, by_series)
    yield "weighted_quantile_loss", scores.weighted_quantile_loss(actual, forecast, levels)
    if len(levels) > 1:
        yield "coverage", scores.coverage(actual, forecast[..., 0], forecast[..., -1])


def _points_of_baselines(judged: Sequence[_Judged]) -> dict[str, list[npt.NDArray[np.float64]]]:
    """By the prefix of their scores; those that forecast every series, so that all are scored on the same."""
    points = {}
    for name in judged[0].baselines if judged else ():
        by_series = [one.baselines[name] for one in judged]
        known = [point for point in by_series if point is not None]
        if len(known) == len(by_series):
            points[f"{name}_"] = known
    return points


def _mean_scaled_error(judged: Sequence[_Judged], points: Sequence[npt.NDArray[np.float64]]) -> float:
    """Mean over the series of MAE over the in-sample seasonal error (Hyndman & Koehler 2006)."""
    errors = [
        scores.mean_absolute_error(one.actual, point) / one.scale
        for one, point in zip(judged, points, strict=True)
    ]
    known = [error for error in errors if np.isfinite(error)]  # a constant series has no scale
    return float(np.mean(known)) if known else float("nan")
