"""Score the exported file, not the module: each series is streamed through ONNX Runtime."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime

from models.artifact import FORECAST, ROWS, next_name, unseal
from models.manifest import Manifest
from training import scores
from training.dataset import SeriesData
from training.label_scores import label_scores
from training.segments import targets_of

_CHUNK = 512


@dataclass(frozen=True)
class _Judged:
    """One series' held-out origins: N of them, K steps ahead, Q levels; `scale` is MASE's denominator."""

    actual: npt.NDArray[np.float64]
    forecast: npt.NDArray[np.float64]
    naive: npt.NDArray[np.float64]
    scale: float


def backtest(content: bytes, series: Sequence[SeriesData]) -> dict[str, float]:
    """Forecast after every row of the validation part and score against what came.

    Each series runs from its first row; every forecast that lies wholly in the validation part counts.
    Early stopping chose the weights on the same part, so the scores lean a little to the good side.

    Args:
        content: a sealed file.
        series: as it was trained on.

    Returns:
        mae, smape, weighted_quantile_loss and coverage over all forecasts, mase as the mean over the
        series; the same point scores of seasonal naive. Of a classifier, what `label_scores` gives. A score
        that has no data is left out.
    """
    _, manifest = unseal(content)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    if manifest.labels:
        return label_scores(manifest, series, [_held_out_stream(session, manifest, one) for one in series])
    judged = [_judge(session, manifest, one) for one in series]
    return {name: value for name, value in _scores(judged, manifest) if np.isfinite(value)}


def stream(
    session: onnxruntime.InferenceSession, manifest: Manifest, values: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Forecasts after each row of one series, (T, F) -> (T, K, Q), its state carried from chunk to chunk."""
    state = {spec.name: np.full((1, *spec.shape), spec.initial, spec.dtype) for spec in manifest.states}
    names = [FORECAST, *map(next_name, state)]
    forecasts = []
    for start in range(0, len(values), _CHUNK):
        forecast, *after = session.run(names, {ROWS: values[None, start : start + _CHUNK], **state})
        state = dict(zip(state, after, strict=True))
        forecasts.append(forecast[0])
    return np.concatenate(forecasts)


def _held_out_stream(
    session: onnxruntime.InferenceSession, manifest: Manifest, one: SeriesData
) -> npt.NDArray[np.float32]:
    """Of a series that nothing is held out of, nothing is forecast."""
    if one.validation_start < len(one.times):
        return stream(session, manifest, one.values)
    return np.zeros((0, manifest.horizon, manifest.num_columns), np.float32)


def _judge(session: onnxruntime.InferenceSession, manifest: Manifest, one: SeriesData) -> _Judged:
    # From the last training row on, up to the last row whose whole horizon was seen. A forecast that lags is
    # made at a later row, and of its steps those after that row are judged: the others have been seen.
    seen = manifest.look_ahead
    origins = slice(one.validation_start - 1 + seen, len(one.times) - manifest.horizon + seen)
    history = one.target[: one.validation_start]
    return _Judged(
        actual=targets_of(one.target, manifest.horizon - seen)[origins],
        forecast=stream(session, manifest, one.values)[origins, seen:].astype(np.float64),
        naive=scores.seasonal_naive(one.target, manifest.horizon - seen, manifest.season_length)[origins],
        scale=scores.seasonal_scale(history, manifest.season_length),
    )


def _scores(judged: Sequence[_Judged], manifest: Manifest) -> Iterator[tuple[str, float]]:
    levels = np.array(manifest.quantile_levels)
    middle = scores.median_column(levels)
    actual = np.concatenate([one.actual for one in judged])
    forecast = np.concatenate([one.forecast for one in judged])
    naive = np.concatenate([one.naive for one in judged])
    for prefix, point in (("", forecast[..., middle]), ("seasonal_naive_", naive)):
        yield f"{prefix}mae", scores.mean_absolute_error(actual, point)
        yield f"{prefix}smape", scores.symmetric_percentage_error(actual, point)
    for prefix, points in (
        ("", [one.forecast[..., middle] for one in judged]),
        ("seasonal_naive_", [one.naive for one in judged]),
    ):
        yield f"{prefix}mase", _mean_scaled_error(judged, points)
    yield "weighted_quantile_loss", scores.weighted_quantile_loss(actual, forecast, levels)
    if len(levels) > 1:
        yield "coverage", scores.coverage(actual, forecast[..., 0], forecast[..., -1])


def _mean_scaled_error(judged: Sequence[_Judged], points: Sequence[npt.NDArray[np.float64]]) -> float:
    """Mean over the series of MAE over the in-sample seasonal error (Hyndman & Koehler 2006)."""
    errors = [
        scores.mean_absolute_error(one.actual, point) / one.scale
        for one, point in zip(judged, points, strict=True)
    ]
    known = [error for error in errors if np.isfinite(error)]  # a constant series has no scale
    return float(np.mean(known)) if known else float("nan")
