"""What a model must do before it serves: the same answer however the rows are cut."""

import numpy as np

from models.manifest import Manifest
from service.engine.arena import Arena
from service.engine.runner import Forecasts, Reply, Runner

# Float32 products are summed in another order for another chunk length. Trained models differ by
# at most 2e-6 of a forecast's spread; a state that is paired wrongly differs by whole spreads.
TOLERANCE = 1e-3
_NUM_SESSIONS = 3
_NUM_ROWS = 8


def self_check(runner: Runner, arena: Arena, manifest: Manifest) -> str | None:
    """Advance random rows whole, row by row and through the read-out, and compare.

    The arena is left as it was found.

    Returns:
        None where all agree, else what does not.
    """
    random = np.random.default_rng(0)
    rows = 100.0 + 10.0 * random.standard_normal((_NUM_SESSIONS, _NUM_ROWS, len(manifest.features)))
    rows[0, 3] = np.nan
    whole, cut = ([arena.allocate() for _ in range(_NUM_SESSIONS)] for _ in range(2))
    try:
        return _compare(runner, np.array(whole), np.array(cut), rows)
    finally:
        for slot in whole + cut:
            arena.release(slot)


def _compare(runner: Runner, whole: "np.ndarray", cut: "np.ndarray", rows: "np.ndarray") -> str | None:
    at_once = runner.step(whole, rows, Reply.EACH)
    steps = [runner.step(cut, rows[:, t : t + 1], Reply.LAST) for t in range(rows.shape[1])]
    assert at_once is not None
    by_row = np.stack([step for step in steps if step is not None], axis=1)
    if not np.isfinite(at_once).all():
        return "self-check: forecasts of ordinary rows are not finite"
    if _differ(at_once, by_row):
        return "self-check: rows sent one by one give other forecasts than rows sent at once"
    if _differ(runner.read_out(cut), by_row[:, -1]):
        return "self-check: the read-out of a state is not the forecast of its last row"
    return None


def _differ(a: Forecasts, b: Forecasts) -> bool:
    return float(np.abs(a - b).max()) > TOLERANCE * float(np.abs(a).max() + 1.0)
