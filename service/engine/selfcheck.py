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
_FIRST_US, _HOUR_US = 1.7e15, 3.6e9


def streams(runner: Runner, manifest: Manifest) -> str | None:
    """Advance random rows whole, row by row and through the read-out, and compare.

    Uses the first six slots and resets them.

    Returns:
        None where all agree, else what does not.
    """
    rows = _rows(manifest, _NUM_SESSIONS)
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


def num_sessions(sizes: tuple[int, ...]) -> int:
    """The slots, from 0 on, that the checks use."""
    return 2 * max((_NUM_SESSIONS, *sizes))


def agree(runner: Runner, reference: Runner, manifest: Manifest, sizes: tuple[int, ...]) -> bool:
    """Whether two runners give the same forecasts and states for the same rows, and spare other slots.

    Slots are taken out of order, and every second one must stay as it was. Both are reset after.

    Args:
        sizes: numbers of sessions that the runner has ways of its own for; tried besides another.
    """
    everything = np.arange(num_sessions(sizes))
    try:
        return all(_agree_at(size, runner, reference, manifest) for size in (_NUM_SESSIONS, *sizes))
    finally:
        for one in (runner, reference):
            one.reset(everything)


def _agree_at(size: int, runner: Runner, reference: Runner, manifest: Manifest) -> bool:
    rows, everything = _rows(manifest, 2 * size), np.arange(2 * size)
    used, spared = np.roll(everything[1::2], 1), everything[::2]
    for one in (runner, reference):
        one.reset(everything)
        one.step(everything, rows[:, :2], Reply.NONE)
    found, expected = (
        _every_way(one, used, rows[:size], manifest.scores_anomalies) for one in (runner, reference)
    )
    same = not _differ(found, expected)
    for slots in (used, spared):
        states, expected_states = runner.states(slots), reference.states(slots)
        same &= all(not _differ(states[name], expected_states[name]) for name in expected_states)
    return same


def _every_way(runner: Runner, slots: Slots, rows: Rows, scores_anomalies: bool) -> Forecasts:
    """Row by row, observed without a reply and read out, whole for the last and for each."""
    by_row = _by_row(runner, slots, rows)
    runner.step(slots, rows[:, :1], Reply.NONE)
    read = runner.read_out(slots)
    last = runner.step(slots, rows, Reply.LAST)
    each = runner.step(slots, rows, Reply.EACH)
    assert last is not None
    assert each is not None
    answers = [by_row, read[:, None], last[:, None], each]
    if scores_anomalies:
        forecasts, scores = runner.score(slots, rows)
        answers += [forecasts, np.broadcast_to(scores[:, :, :1, None], forecasts.shape)]
        answers.append(np.broadcast_to(scores[:, :, 1:, None], forecasts.shape))
    return np.concatenate(answers, axis=1)


def _rows(manifest: Manifest, num_sessions: int) -> Rows:
    random = np.random.default_rng(0)
    rows = 100.0 + 10.0 * random.standard_normal((num_sessions, _NUM_ROWS, manifest.row_layout.width))
    if manifest.reads_time:
        rows[..., -1] = _FIRST_US + _HOUR_US * np.arange(_NUM_ROWS)
    rows[0, 3] = np.nan
    return rows


def _by_row(runner: Runner, slots: Slots, rows: Rows) -> Forecasts:
    steps = [runner.step(slots, rows[:, t : t + 1], Reply.LAST) for t in range(rows.shape[1])]
    return np.stack([step for step in steps if step is not None], axis=1)


def _differ(a: "np.ndarray", b: "np.ndarray") -> bool:
    size = float(np.abs(b[np.isfinite(b)]).max(initial=0.0))
    return not np.allclose(a, b, rtol=0.0, atol=TOLERANCE * (size + 1.0), equal_nan=True)
