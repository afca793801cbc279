"""One cell on one series: how well, how large, how long, how fast."""

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime

from benchmarks.cells.series import Series
from models.artifact import FORECAST, ROWS, next_name, seal
from models.cells import CELLS
from models.manifest import FeatureSpec, Manifest
from training.backtesting.run import held_out_scores
from training.dataset import Dataset, summary
from training.describe import manifest_for
from training.export import to_onnx
from training.fit import fit
from training.parity import check_parity
from training.read import read
from training.rows import SeriesRows
from training.settings import TrainSettings
from training.streaming import session_of

# Small enough for minutes, and the same for every cell.
HIDDEN_SIZE, SEGMENT_LENGTH, LEARNING_RATE, VALIDATION = 32, 32, 5e-3, 0.2
# Rows that a cell waits for that needs the future.
LOOK_AHEAD = 2
_WARM_UP_ROWS = 200


@dataclass(frozen=True)
class Fitted:
    """A trained cell and what it took.

    Attributes:
        content: the sealed file.
        scores: of the backtest, its baselines included.
        training_s: processor time of the fit alone, without export and backtest.
        steps_per_s: rows a processor second of one stream through ONNX Runtime, one row a call.
    """

    cell: str
    series: str
    content: bytes
    manifest: Manifest
    scores: dict[str, float]
    num_parameters: int
    training_s: float
    steps_per_s: float


def fit_and_measure(cell: str, series: Series, epochs: int, num_steps: int, *, baselines: bool) -> Fitted:
    """Train, export, hold against torch, backtest and stream.

    Args:
        num_steps: rows to time, three times; the fastest counts.
        baselines: also fit those of statsmodels.
    """
    settings = _settings(cell, series, epochs)
    dataset = read(settings)
    # Of the processor: whoever else runs on the machine counts for little.
    start = time.process_time()
    forecaster = fit(settings, dataset, progress=True)
    training_s = time.process_time() - start
    model = to_onnx(forecaster)
    manifest = manifest_for(
        model,
        forecaster,
        name=cell,
        features=[FeatureSpec(name=name) for name in dataset.features],
        frequency=series.freq,
        training=summary(dataset.series),
        backtest={},
        parity_error=check_parity(model.SerializeToString(), forecaster, settings.seed),
    )
    content = seal(model, manifest)
    return Fitted(
        cell,
        series.name,
        content,
        manifest,
        held_out_scores(content, dataset.series, fitted=baselines),
        sum(parameter.numel() for parameter in forecaster.parameters()),
        training_s,
        _steps_per_s(content, manifest, dataset, num_steps),
    )


def _settings(cell: str, series: Series, epochs: int) -> TrainSettings:
    look_ahead = LOOK_AHEAD if CELLS[cell].looks_ahead else 0
    return TrainSettings.build(
        {
            "data": series.path,
            "output": series.path.parent / "repository" / cell,
            "freq": series.freq,
            # Steps that were seen while waiting are no forecasts: all cells are judged by as many.
            "horizon": series.horizon + look_ahead,
            "look_ahead": look_ahead,
            "cell": cell,
            "hidden_size": HIDDEN_SIZE,
            "segment_length": SEGMENT_LENGTH,
            "learning_rate": LEARNING_RATE,
            "validation_fraction": VALIDATION,
            "max_epochs": epochs,
            "patience": epochs,
        }
    )


def _steps_per_s(content: bytes, manifest: Manifest, dataset: Dataset, num_steps: int) -> float:
    session, rows = session_of(content), SeriesRows(dataset.series[0], manifest.row_layout)[:]
    rows = np.resize(rows, (num_steps + _WARM_UP_ROWS, rows.shape[1]))
    _streamed(session, manifest, rows[:_WARM_UP_ROWS])
    return num_steps / min(_streamed(session, manifest, rows[_WARM_UP_ROWS:]) for _ in range(3))


def _streamed(
    session: onnxruntime.InferenceSession, manifest: Manifest, rows: npt.NDArray[np.float64]
) -> float:
    """Processor seconds to send `rows` one at a time, the state handed back each time."""
    state = {spec.name: np.full((1, *spec.shape), spec.initial, spec.dtype) for spec in manifest.states}
    names = [FORECAST, *map(next_name, state)]
    start = time.process_time()
    for row in range(len(rows)):
        _, *after = session.run(names, {ROWS: rows[None, row : row + 1], **state})
        state = dict(zip(state, after, strict=True))
    return time.process_time() - start
