"""How many threads an operator should use: measured at load, on this model and this machine."""

import math
import os
import time
from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime
import structlog

from models.artifact import ROWS
from models.manifest import Manifest
from service.engine.arena import States
from service.engine.providers import open_session

_log = structlog.get_logger()

# A batch of one session, and one of many streams.
_BATCH_SIZES = (1, 256)
# More threads take cores from whatever else runs there: they have to be worth it.
_WORTH = 0.9
_BUDGET_S = 0.5
_PER_BATCH_S = 0.02

# Seconds that a small and a large batch take, with so many threads.
Measure = Callable[[int], Sequence[float]]


def choose(forecast: bytes, manifest: Manifest) -> int:
    """Time the graph that steps and forecasts, for about half a second at most, and log what was found."""
    counts = candidates()
    if len(counts) == 1:
        return counts[0]
    seconds = measured(lambda count: _step_s(forecast, manifest, count), counts)
    chosen = fastest(seconds)
    step_us = {count: [round(1e6 * one, 1) for one in found] for count, found in seconds.items()}
    _log.info(
        "threads are measured", model=manifest.name, chosen=chosen, batch_sizes=_BATCH_SIZES, step_us=step_us
    )
    return chosen


def candidates() -> list[int]:
    """1, 2, 4, ... up to the number of cores that this process may run on."""
    try:
        num_cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not every system lets a process be pinned
        num_cores = os.cpu_count() or 1
    return [2**power for power in range(num_cores.bit_length())]


def measured(
    measure: Measure, counts: Sequence[int], now_s: Callable[[], float] = time.perf_counter
) -> dict[int, Sequence[float]]:
    """What `measure` says of each count, the small ones first; of those that half a second has room for."""
    end_s = now_s() + _BUDGET_S
    seconds: dict[int, Sequence[float]] = {}
    for count in counts:
        if seconds and now_s() >= end_s:
            break
        seconds[count] = measure(count)
    return seconds


def fastest(seconds: dict[int, Sequence[float]]) -> int:
    """The count to use: a larger one where it is a tenth faster than the best before it.

    Faster in the geometric mean of the batch sizes: half the time at one makes up for twice at another.
    """
    (chosen, best), *larger = sorted(seconds.items())
    for count, found in larger:
        if math.prod(found) <= math.prod(best) * _WORTH ** len(best):
            chosen, best = count, found
    return chosen


def _step_s(forecast: bytes, manifest: Manifest, num_threads: int) -> list[float]:
    session = open_session(forecast, "cpu", num_threads)
    return [_run_s(session, _feeds(manifest, size)) for size in _BATCH_SIZES]


def _run_s(session: onnxruntime.InferenceSession, feeds: States) -> float:
    """The shortest of some runs: nothing makes one faster than it is."""
    session.run(None, feeds)
    least_s = math.inf
    now_s = time.perf_counter()
    end_s = now_s + _PER_BATCH_S
    while now_s < end_s:
        before_s = now_s
        session.run(None, feeds)
        now_s = time.perf_counter()
        least_s = min(least_s, now_s - before_s)
    return least_s


def _feeds(manifest: Manifest, size: int) -> States:
    rows = np.random.default_rng(0).standard_normal((size, 1, manifest.row_layout.width))
    states = {spec.name: np.full((size, *spec.shape), spec.initial, spec.dtype) for spec in manifest.states}
    return {ROWS: rows, **states}
