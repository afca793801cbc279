"""`python -m benchmarks.accuracy.nab`: scores of the graph beside the windowed Gaussian, on NAB's streams.

The forecaster is trained on the first 15 % of each stream, which is not scored, and the exported
file is streamed through ONNX Runtime. Rows are taken as equally spaced. No label is seen before the scoring.
"""

import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.accuracy.nab_scoring import PROFILES, Floats, Stream, best, probation
from benchmarks.processes import ROOT

# Of the paper's baseline: rows of the window, and between two of its updates.
_WINDOW, _STEP = 6400, 100
_CHUNK = 512
OPTIONS: Mapping[str, Any] = {
    "freq": "5min",
    "horizon": 1,
    "hidden_size": 32,
    "quantile_levels": (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98),
    "max_epochs": 40,
    "patience": 8,
    "baselines": "quick",
    "anomaly": True,
}


@dataclass(frozen=True)
class File:
    """One stream: its name, values (T,) and windows as first and last row."""

    name: str
    values: Floats
    windows: list[tuple[int, int]]


def files(folder: Path) -> list[File]:
    """The streams that are there, by name."""
    labelled = json.loads((folder / "combined_windows.json").read_text())
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


def trained(streams: list[File], folder: Path, seed: int, options: Mapping[str, Any] = OPTIONS) -> bytes:
    """The exported file of a forecaster that has seen each stream's probation."""
    from training.settings import TrainSettings
    from training.train import train

    rows = pd.concat(
        pd.DataFrame({"unique_id": one.name, "y": one.values[: probation(len(one.values))]})
        for one in streams
    )
    start = pd.Timestamp("2020-01-01")
    rows["ds"] = start + rows.groupby("unique_id").cumcount() * pd.Timedelta("5min")
    data = folder / "probation.parquet"
    rows.to_parquet(data)
    settings = TrainSettings.build({**options, "data": data, "output": folder / "nab", "seed": seed})
    return train(settings).path.read_bytes()


def graph_scores(content: bytes, streams: list[File]) -> Iterator[Floats]:
    """-log of each row's tail probability, (T,), streamed; NaN where there is none."""
    import onnxruntime

    from models.artifact import ANOMALY, ROWS, next_name, unseal

    _, manifest = unseal(content)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [ANOMALY, *(next_name(spec.name) for spec in manifest.states)]
    for one in streams:
        state = {spec.name: np.full((1, *spec.shape), spec.initial, spec.dtype) for spec in manifest.states}
        parts: list[npt.NDArray[np.float32]] = []
        rows = _rows(one.values, manifest.row_layout.width, manifest.reads_time)
        for start in range(0, len(rows), _CHUNK):
            scores, *after = session.run(names, {ROWS: rows[None, start : start + _CHUNK], **state})
            state = dict(zip(state, after, strict=True))
            parts.append(scores[0, :, 1])
        yield -np.log(np.maximum(np.concatenate(parts).astype(np.float64), 1e-45))


def _rows(values: Floats, width: int, reads_time: bool) -> Floats:
    rows = np.full((len(values), width), np.nan)
    rows[:, 0] = values
    if reads_time:
        rows[:, -1] = 1_577_836_800e6 + 300e6 * np.arange(len(values))
    return rows


def main(
    data: Annotated[Path, typer.Option(help="folder with combined_windows.json")] = (
        ROOT.parent / "shared" / "data" / "nab"
    ),
    seed: int = 0,
    model: Annotated[Path | None, typer.Option(help="a file instead of a training")] = None,
) -> None:
    """Print both detectors' scores for each profile."""
    streams = files(data)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        content = model.read_bytes() if model else trained(streams, Path(folder), seed)
    trained_s = time.monotonic() - started
    detectors = {
        "windowed Gaussian": [windowed_gaussian(one.values) for one in streams],
        "statecast": list(graph_scores(content, streams)),
    }
    table = Table("detector", *PROFILES, title=f"NAB, {len(streams)} real streams")
    for name, scores in detectors.items():
        scored = [Stream(one.windows, of_one) for one, of_one in zip(streams, scores, strict=True)]
        table.add_row(name, *(f"{best(scored, profile)[0]:.1f}" for profile in PROFILES.values()))
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)
    console.print(f"training and export took {trained_s:.0f} s, seed {seed}")


if __name__ == "__main__":
    typer.run(main)
