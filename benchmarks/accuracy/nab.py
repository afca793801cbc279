"""NAB's real streams: the anomaly scores of the graph beside the windowed Gaussian (Lavin & Ahmad 2015).

The forecaster is trained on the first 15 % of each stream, which is not scored, and the exported
file is streamed through ONNX Runtime. Rows are taken as equally spaced. No label is seen before the scoring.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.accuracy.measured import OURS, Context, Measured, Scores
from benchmarks.accuracy.nab_scoring import PROFILES, Floats, Stream, best, probation
from benchmarks.accuracy.ours import options_of, settings_for, train_with
from benchmarks.accuracy.problem import DataMissing
from models.artifact import ANOMALY, ROWS, next_name, unseal
from training.streaming import session_of

GAUSSIAN = "windowed Gaussian"
# Of the paper's baseline: rows of the window, and between two of its updates.
_WINDOW, _STEP = 6400, 100
_CHUNK = 512
_FIRST, _APART = pd.Timestamp("2020-01-01"), pd.Timedelta("5min")


def measure(context: Context) -> Measured:
    """Both detectors by each profile.

    Raises:
        DataMissing: the folder lacks the streams.
    """
    streams = files(context.folder / "nab")
    data = write_probation(streams, context.directory / "probation.parquet")
    settings = settings_for("nab", data, context.given, quick=context.quick)
    trained = train_with(settings)
    detectors = {
        OURS: list(graph_scores(trained.content, streams)),
        GAUSSIAN: [windowed_gaussian(one.values) for one in streams],
    }
    scores = {name: _by_profile(streams, found) for name, found in detectors.items()}
    return Measured(scores, {OURS: trained.took()}, options_of(settings))


def _by_profile(streams: list["File"], scores: list[Floats]) -> Scores:
    scored = [Stream(one.windows, of_one) for one, of_one in zip(streams, scores, strict=True)]
    return {name: best(scored, profile)[0] for name, profile in PROFILES.items()}


def with_ratio(by_method: dict[str, Scores]) -> dict[str, Scores]:
    """The standard profile's score in units of the windowed Gaussian's."""
    unit = by_method[GAUSSIAN]["standard"]
    return {method: {**found, "ratio": found["standard"] / unit} for method, found in by_method.items()}


@dataclass(frozen=True)
class File:
    """One stream: its name, values (T,) and windows as first and last row."""

    name: str
    values: Floats
    windows: list[tuple[int, int]]


def files(folder: Path) -> list[File]:
    """The streams that are there, by name.

    Raises:
        DataMissing: there are no labels.
    """
    labels = folder / "combined_windows.json"
    if not labels.exists():
        raise DataMissing(labels)
    labelled = json.loads(labels.read_text())
    return [_file(folder, name, labelled[name]) for name in sorted(labelled) if (folder / name).exists()]


def _file(folder: Path, name: str, windows: list[list[str]]) -> File:
    table = pd.read_csv(folder / name, parse_dates=["timestamp"])
    times = table["timestamp"].to_numpy()
    ends = [(np.datetime64(first), np.datetime64(last)) for first, last in windows]
    rows = [
        (int(np.searchsorted(times, first)), int(np.searchsorted(times, last, "right")) - 1)
        for first, last in ends
    ]
    return File(name, table["value"].to_numpy(np.float64), rows)


def windowed_gaussian(values: Floats) -> Floats:
    """1 - P(as far from the mean): of all rows so far at first, then of a window moved every hundred rows."""
    scores, mean, deviation = np.zeros(len(values)), 0.0, 1.0
    for row, value in enumerate(values):
        if row:
            scores[row] = 1 - 0.5 * math.erfc(abs(value - mean) / deviation / math.sqrt(2))
        if row < _WINDOW or (row + 1 - _WINDOW) % _STEP == 0:
            window = values[max(0, row + 1 - _WINDOW) : row + 1]
            mean, deviation = float(window.mean()), float(window.std()) or 1e-6
    return scores


def write_probation(streams: list[File], path: Path) -> Path:
    """What a detector may learn from, as a Parquet file in the long layout."""
    rows = pd.concat(
        pd.DataFrame({"unique_id": one.name, "y": one.values[: probation(len(one.values))]})
        for one in streams
    )
    rows["ds"] = _FIRST + rows.groupby("unique_id").cumcount() * _APART
    rows.to_parquet(path)
    return path


def graph_scores(content: bytes, streams: list[File]) -> Iterator[Floats]:
    """-log of each row's tail probability, (T,), streamed; NaN where there is none."""
    _, manifest = unseal(content)
    session = session_of(content)
    names = [ANOMALY, *(next_name(spec.name) for spec in manifest.states)]
    for one in streams:
        state = {spec.name: np.full((1, *spec.shape), spec.initial, spec.dtype) for spec in manifest.states}
        parts: list[npt.NDArray[np.float32]] = []
        rows = _rows(one.values, manifest.row_layout.width, manifest.reads_time)
        for start in range(0, len(rows), _CHUNK):
            scores, *after = session.run(names, {ROWS: rows[None, start : start + _CHUNK], **state})
            state = dict(zip(state, after, strict=True))
            parts.append(scores[0, :, 1])
        yield -np.log(np.concatenate(parts).astype(np.float64))


def _rows(values: Floats, width: int, reads_time: bool) -> Floats:
    rows = np.full((len(values), width), np.nan)
    rows[:, 0] = values
    if reads_time:
        rows[:, -1] = _FIRST.value / 1e3 + _APART.value / 1e3 * np.arange(len(values))
    return rows
