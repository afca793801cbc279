"""Peers in an environment of their own: a script gets a job as JSON and writes forecasts that we score."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.accuracy.measured import Context, Took
from benchmarks.accuracy.problem import Batch, Problem

NEURALFORECAST, DEEPAR = "NeuralForecast LSTM", "GluonTS DeepAR"
SCRIPTS = {NEURALFORECAST: "neuralforecast_lstm.py", DEEPAR: "gluonts_deepar.py"}
_HERE = Path(__file__).parent
_QUICK_S = 20.0


class PeerFailed(Exception):
    """A peer's process ended with an error; its last words are the message."""


@dataclass(frozen=True)
class PeerForecasts:
    """What a peer wrote: (N, O, K, Q), of series N the forecasts after each of `origins` (N, O)."""

    origins: npt.NDArray[np.int64]
    forecast: npt.NDArray[np.float32]
    took: Took

    @property
    def batches(self) -> Iterator[Batch]:
        """For the scorer."""
        for index, (origins, forecast) in enumerate(zip(self.origins, self.forecast, strict=True)):
            yield Batch(index, origins, forecast)


def run_peer(
    context: Context, method: str, problem: Problem, *, budget_s: float, stride: int = 1, seed: int = 0
) -> PeerForecasts:
    """Train a peer on the training part, its last steps for validation, and forecast the test part.

    Args:
        budget_s: of processor time for the training: on a busy machine wall time says little.
        stride: forecast after every so many-th origin.

    Raises:
        PeerFailed: its process ended with an error, or its forecasts have another shape.
    """
    origins = np.stack([problem.test_origins(one) for one in problem.series])[:, ::stride]
    took = _run(
        context,
        SCRIPTS[method],
        {
            "data": str(_write(problem, context.directory / "peers.parquet")),
            "freq": problem.freq,
            "horizon": problem.horizon,
            "levels": problem.levels,
            "validation": problem.validation,
            "test": len(problem.series[0].times) - problem.series[0].test_start,
            "stride": stride,
            "budget_s": _QUICK_S if context.quick else budget_s,
            "seed": seed,
            "threads": 1,  # as ours: a second one costs more processor time than it saves
            "output": str(context.directory / "forecasts.npy"),
        },
    )
    forecast = np.load(context.directory / "forecasts.npy", mmap_mode="r")
    expected = (*origins.shape, problem.horizon, len(problem.levels))
    if forecast.shape != expected:
        raise PeerFailed(f"{method}: expected forecasts {expected}, found {forecast.shape}")
    return PeerForecasts(origins, forecast, {**took, "stride": stride})


def ends_of_steps(context: Context, job: dict[str, Any]) -> list[float]:
    """When each of NeuralForecast's training steps ended, in seconds of some clock.

    Raises:
        PeerFailed: its process ended with an error.
    """
    ends: list[float] = _run(context, "neuralforecast_speed.py", job)["ends"]
    return ends


def _run(context: Context, script: str, job: dict[str, Any]) -> dict[str, Any]:
    """Run one of this folder's scripts on the peers' Python; what it says of itself as its last line."""
    path = context.directory / "job.json"
    path.write_text(json.dumps(job), "utf-8")
    command = [str(context.peers), str(_HERE / script), str(path)]
    # Lightning leaves its logs where it runs.
    found = subprocess.run(command, cwd=context.directory, capture_output=True, text=True)
    if found.returncode:
        raise PeerFailed(f"{script}: {found.stderr.strip()[-2000:]}")
    said: dict[str, Any] = json.loads(found.stdout.strip().splitlines()[-1])
    return said


def _write(problem: Problem, path: Path) -> Path:
    """All rows in the long layout; names sort as the series are ordered.

    Not every peer takes a missing value: here it is that of a season before, as of seasonal naive.
    """
    frames = [
        pd.DataFrame({"unique_id": f"{index:05}", "ds": one.times, "y": _filled(one.values[:, 0], problem)})
        for index, one in enumerate(problem.series)
    ]
    pd.concat(frames, ignore_index=True).to_parquet(path, index=False)
    return path


def _filled(target: npt.NDArray[np.float64], problem: Problem) -> npt.NDArray[np.float64]:
    filled = target.copy()
    for row in np.flatnonzero(np.isnan(filled)):
        filled[row] = filled[row - problem.season]
    return filled
