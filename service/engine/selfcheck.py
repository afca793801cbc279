"""What a model must do before it serves: the same answer however the rows are cut."""

import numpy as np

from models.manifest import Manifest
from service.engine.arena import Slots
from service.engine.runner import Forecasts, Reply, Rows, Runner

# Float32 products are summed in another order for another chunk length. Trained models differ by
# at most 2e-6 of a forecast's spread; a state that is paired wrongly differs by whole spreads.
TOLERANCE = 1e-3
_NUM_SESSIONS = 3
_NUM_ROWS = 8


def streams(runner: Runner, manifest: Manifest) -> str | None:
    """Advance random rows whole, row by row and through the read-out, and compare.

    Uses the first six slots and resets them.

    Returns:
        None where all agree, else what does not.
    """
    rows = _rows(manifest)
    whole, cut = np.arange(_NUM_SESSIONS), np.arange(_NUM_SESSIONS, 2 * _NUM_SESSIONS)
    runner.reset(np.concatenate([whole, cut]))
    try:
        at_once = runner.step(whole, rows, Reply.EACH)
        by_row = _by_row(runner, cut, rows)
        assert at_once is not None
        if not np.isfinite(at_once).all():
            return "self-check: forecasts of ordinary rows are not finite"
        if _differ(at_once, by_row):
            return "self-check: rows sent one by one give other forecasts than rows sent at once"
        if _differ(runner.read_out(cut), by_row[:, -1]):
            return "self-check: the read-out of a state is not the forecast of its last row"
        return None
    finally:
        runner.reset(np.concatenate([whole, cut]))


def agree(runner: Runner, reference: Runner, manifest: Manifest) -> bool:
    """Whether two runners give the same forecasts and states for the same rows, and spare other slots.

    Slots are taken out of order, and every second one must stay as it was. Both are reset after.
    """
    rows = _rows(manifest)
    used, spared = np.array([5, 1, 3]), np.array([0, 2, 4])
    everything = np.arange(2 * _NUM_SESSIONS)
    for one in (runner, reference):
        one.reset(everything)
        one.step(everything, np.concatenate([rows, rows], axis=0)[:, :2], Reply.NONE)
    try:
        forecasts = [
            np.concatenate(
                [
                    _by_row(one, used, rows),
                    one.step(used, rows, Reply.EACH),
                    one.read_out(used)[:, None],
                ],
                axis=1,
            )
            for one in (runner, reference)
        ]
        same = not _differ(forecasts[0], forecasts[1])
        for slots in (used, spared):
            found, expected = runner.states(slots), reference.states(slots)
            same &= all(not _differ(found[name], expected[name]) for name in expected)
        return same
    finally:
        for one in (runner, reference):
            one.reset(everything)


def _rows(manifest: Manifest) -> Rows:
    random = np.random.default_rng(0)
    rows = 100.0 + 10.0 * random.standard_normal((_NUM_SESSIONS, _NUM_ROWS, len(manifest.features)))
    rows[0, 3] = np.nan
    return rows


def _by_row(runner: Runner, slots: Slots, rows: Rows) -> Forecasts:
    steps = [runner.step(slots, rows[:, t : t + 1], Reply.LAST) for t in range(rows.shape[1])]
    return np.stack([step for step in steps if step is not None], axis=1)


def _differ(a: "np.ndarray", b: "np.ndarray") -> bool:
    return float(np.abs(a - b).max()) > TOLERANCE * float(np.abs(a).max() + 1.0)
