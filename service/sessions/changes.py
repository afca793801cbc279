"""What a batch did, as a store takes it."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from service.engine.arena import Slots
from service.engine.runner import Rows
from service.sessions.batch import Batch
from service.sessions.frame import Integers
from service.sessions.plan import BatchPlan
from service.sessions.residency import Residency
from service.store.contract import NO_TIME, Changes

Mask = npt.NDArray[np.bool_]


def changes_of(
    batch: Batch, planned: BatchPlan, residency: Residency, at_s: float
) -> Iterator[tuple[Integers, Changes]]:
    """The entries whose sessions a batch moved, and what moved them, a version of the model at a time.

    Args:
        planned: with refusals and failures entered; the table stands as before the batch.
    """
    entries, num_steps, rows = _stepped(batch, planned)
    table = residency.table
    moves = planned.positions[entries] != table.positions[batch.slots[entries]]
    if planned.refused:
        moves &= ~np.isin(entries, list(planned.refused))
    if table.borrowed:
        moves &= ~np.isin(batch.slots[entries], list(table.borrowed))
    for version, mine in _by_version(residency, batch.slots[entries], moves):
        if mine.all():
            yield entries, _changes(batch, planned, residency, version, entries, num_steps, rows, at_s)
        else:
            some = rows[np.repeat(mine, num_steps)]
            yield (
                entries[mine],
                _changes(batch, planned, residency, version, entries[mine], num_steps[mine], some, at_s),
            )


def _by_version(residency: Residency, slots: Slots, moves: Mask) -> Iterator[tuple[int, Mask]]:
    """Each version that sessions are on which a batch moved, and which of `slots` (N,) theirs are."""
    if len(residency.versions) == 1:
        if moves.any():
            yield residency.versions.newest.index, moves
        return
    versions = residency.table.versions[slots]
    for version in np.unique(versions[moves]).tolist():
        yield version, moves & (versions == version)


def _changes(
    batch: Batch,
    planned: BatchPlan,
    residency: Residency,
    version: int,
    entries: Integers,
    num_steps: Integers,
    rows: Rows,
    at_s: float,
) -> Changes:
    table, loaded = residency.table, residency.versions[version]
    slots = batch.slots[entries]
    last_times = table.last_times_us[slots]
    if planned.last_times_us is not None:
        given = planned.last_times_us[entries]
        last_times = np.where(given == NO_TIME, last_times, given)
    return Changes(
        session_ids=table.session_ids(slots),
        tokens=table.tokens[slots],
        before=table.positions[slots],
        after=planned.positions[entries],
        last_times_us=last_times,
        num_steps=num_steps,
        rows=rows,
        digest=loaded.model.manifest.digest,
        at_s=at_s,
        states=lambda: loaded.states.pack(loaded.model.runner.states(slots)),
    )


def _stepped(batch: Batch, planned: BatchPlan) -> tuple[Integers, Integers, Rows]:
    """Entries group by group, then those that stand; the steps of each, and their rows."""
    num_features = batch.values.shape[1]
    if len(planned.groups) == 1 and planned.groups[0].entries is None:
        rows = planned.groups[0].rows
        return np.arange(len(batch)), np.full(len(batch), rows.shape[1]), rows.reshape(-1, num_features)
    entries = [_entries(group.entries, len(batch)) for group in planned.groups]
    steps = [
        np.full(len(mine), group.rows.shape[1]) for mine, group in zip(entries, planned.groups, strict=True)
    ]
    pieces = [group.rows.reshape(-1, num_features) for group in planned.groups]
    return (
        np.concatenate([*entries, planned.standing]),
        np.concatenate([*steps, np.zeros(len(planned.standing), np.int64)]),
        np.concatenate([*pieces, np.empty((0, num_features))]),
    )


def _entries(entries: Integers | None, num_entries: int) -> Integers:
    return np.arange(num_entries) if entries is None else entries
