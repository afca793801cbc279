"""What a batch did, as a store takes it."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from service.engine.arena import Slots
from service.sessions.batch import Batch
from service.sessions.frame import Integers
from service.sessions.plan import BatchPlan
from service.store.contract import NO_TIME, Changes
from service.store.table import SessionTable


def changes_of(
    batch: Batch,
    planned: BatchPlan,
    table: SessionTable,
    digest: str,
    at_s: float,
    states: Callable[[Slots], npt.NDArray[np.uint8]],
) -> tuple[Integers, Changes] | None:
    """The entries whose sessions a batch moved, and what moved them; None where it moved nobody.

    Args:
        planned: refusals and failures entered.
        table: as before the batch.
        states: packed, of slots.
    """
    entries, num_steps, rows = _stepped(batch, planned)
    before = table.positions[batch.slots[entries]]
    after = planned.positions[entries]
    moved = after != before
    if planned.refused:
        moved &= ~np.isin(entries, list(planned.refused))
    if not moved.any():
        return None
    if not moved.all():
        rows = rows[np.repeat(moved, num_steps)]
        entries, before, after, num_steps = entries[moved], before[moved], after[moved], num_steps[moved]
    slots = batch.slots[entries]
    last_times = table.last_times_us[slots]
    if planned.last_times_us is not None:
        given = planned.last_times_us[entries]
        last_times = np.where(given == NO_TIME, last_times, given)
    return entries, Changes(
        session_ids=[table.session_id(slot) for slot in slots.tolist()],
        tokens=table.tokens[slots],
        before=before,
        after=after,
        last_times_us=last_times,
        num_steps=num_steps,
        rows=rows,
        digest=digest,
        at_s=at_s,
        states=lambda: states(slots),
    )


def _stepped(batch: Batch, planned: BatchPlan) -> tuple[Integers, Integers, npt.NDArray[np.float64]]:
    """Entries group by group, then those that stand; the steps of each, and their rows."""
    num_features = batch.values.shape[1]
    if len(planned.groups) == 1 and planned.groups[0].entries is None:
        rows = planned.groups[0].rows
        return np.arange(len(batch)), np.full(len(batch), rows.shape[1]), rows.reshape(-1, num_features)
    entries = [_entries(group.entries, len(batch)) for group in planned.groups]
    steps = [np.full(len(mine), group.rows.shape[1]) for mine, group in zip(entries, planned.groups, strict=True)]
    rows = [group.rows.reshape(-1, num_features) for group in planned.groups]
    return (
        np.concatenate([*entries, planned.standing]),
        np.concatenate([*steps, np.zeros(len(planned.standing), np.int64)]),
        np.concatenate([*rows, np.empty((0, num_features))]),
    )


def _entries(entries: Integers | None, num_entries: int) -> Integers:
    return np.arange(num_entries) if entries is None else entries
