"""Training speed beside NeuralForecast's LSTM: same data, cell, size, batch and windows, in one run.

A sample is a window of rows that the recurrence walks along, forward and back. Ours learns a forecast
after many of its rows, NeuralForecast one after its last; so ours is timed with as few as well.
"""

import statistics
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks.accuracy import m4
from benchmarks.accuracy.measured import OURS, Context, Measured
from benchmarks.accuracy.ours import options_of, settings_for
from benchmarks.accuracy.peers import NEURALFORECAST, PeerFailed, ends_of_steps
from training.fit import fit
from training.read import read
from training.settings import TrainSettings

ONE_EACH = "statecast, one forecast a window"
# Steps before the clock counts, and those that are timed; in turns, so that a busy moment hits both.
_WARM_UP, _STEPS, _QUICK_STEPS, _TURNS = 20, 200, 30, 3


def measure(context: Context) -> Measured:
    """Samples a second of both: the median step of the best of three turns.

    Raises:
        PeerFailed: NeuralForecast is not installed, or failed.
    """
    if context.peers is None:
        raise PeerFailed("training speed is measured beside NeuralForecast: run scripts/install-peers.sh")
    data = m4.problem(context.folder).write_training(context.directory / "train.parquet")
    settings = settings_for("training-speed", data, {**context.given, "max_epochs": 1})
    ours = {OURS: settings, ONE_EACH: settings.model_copy(update={"origins": 1})}
    job = _job(settings, _QUICK_STEPS if context.quick else _STEPS)
    step_s: dict[str, list[float]] = {method: [] for method in (*ours, NEURALFORECAST)}
    for _ in range(1 if context.quick else _TURNS):
        for method, own in ours.items():
            step_s[method].append(median_step_s(_our_steps(own)))
        step_s[NEURALFORECAST].append(median_step_s(ends_of_steps(context, job)))
    speed = {method: settings.batch_size / min(found) for method, found in step_s.items()}
    scores = {
        method: {
            "samples_per_s": found,
            "rows_per_s": found * settings.segment_length,
            "origins_per_s": found * (ours[method].origins_a_segment if method in ours else 1),
            "ratio": found / speed[NEURALFORECAST],
        }
        for method, found in speed.items()
    }
    return Measured(scores, {}, options_of(settings))


def median_step_s(ends: Sequence[float]) -> float:
    """Seconds from one step's end to the next one's, the first steps left out."""
    return statistics.median(after - before for before, after in pairwise(ends[_WARM_UP:]))


def _job(settings: TrainSettings, steps: int) -> dict[str, Any]:
    return {
        "data": str(settings.data),
        "freq": settings.freq,
        "horizon": settings.horizon,
        "levels": settings.quantile_levels,
        "window": settings.segment_length,
        "num_layers": settings.num_layers,
        "hidden_size": settings.hidden_size,
        "batch": settings.batch_size,
        "threads": settings.threads,
        "steps": _WARM_UP + steps,
    }


def _our_steps(settings: TrainSettings) -> list[float]:
    """When each step of an epoch ended."""
    ends: list[float] = []
    hook = register_optimizer_step_post_hook(lambda *_: ends.append(time.perf_counter()))
    try:
        fit(settings, read(settings))
    finally:
        hook.remove()
    return ends
