"""After a restart: the journal's rows, stepped again through the engine in large batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.engine.runner import Reply
from service.sessions.batch import row_indices
from service.sessions.frame import Integers
from service.sessions.residency import Residency
from service.store.contract import NO_TIME, Record, Recovered

# Sessions that step together, and rows of each.
_BATCH = 1024
_LONGEST = 64
# Sessions that are brought back before those that found no room are saved.
_MOST_AT_ONCE = 32_768


@dataclass(frozen=True, eq=False, slots=True)
class _Tail:
    """Journalled entries of some records, each record's together and oldest first.

    Attributes:
        entries: (5, M) each entry's record, ascending; position before and after it; last time; steps.
        at_s: (M,) when it was journalled.
        rows: (steps in all, F).
    """

    entries: Integers
    at_s: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float64]

    @property
    def record(self) -> Integers:
        """(M,) index of each entry's record."""
        record: Integers = self.entries[0]
        return record

    @property
    def num_steps(self) -> Integers:
        """(M,) rows of each entry that step."""
        steps: Integers = self.entries[4]
        return steps

    def only(self, chosen: Integers) -> "_Tail":
        """The entries that `chosen` numbers, in its order."""
        steps = self.num_steps
        rows = row_indices((np.cumsum(steps) - steps)[chosen], steps[chosen])
        return _Tail(self.entries[:, chosen], self.at_s[chosen], self.rows[rows])


async def recover(recovered: Recovered, residency: Residency) -> tuple[int, list[str]]:
    """Put sessions into memory as they stood when their last row was acknowledged.

    Where there are more than memory has room for, those that came first leave for the store.

    Returns:
        The rows that were stepped again, and the ids of sessions that could not be: their journal has a
        hole, or no version is there for their states. They are not in memory.
    """
    records = list(recovered.records)
    if not records:
        return 0, []
    tail, broken = _checked(_sorted(recovered, _width(residency)), records)
    lost = [records[index].session_id for index in broken]
    size = max(min(residency.table.capacity // 2, _MOST_AT_ONCE), 1)
    for start in range(0, len(records), size):
        mine = [index for index in range(start, min(start + size, len(records))) if index not in broken]
        lost += _recover(tail, records, np.array(mine, np.int64), residency)
        await residency.leaving.save()
    return int(tail.num_steps.sum()), lost


def _recover(tail: _Tail, records: Sequence[Record], mine: Integers, residency: Residency) -> list[str]:
    """Some of the records; returns the ids of those that no version is there for."""
    table = residency.table
    slots = np.full(len(records), -1)
    slots[mine] = [table.resolve(records[index].session_id) for index in mine.tolist()]
    table.unloaded.clear()
    residency.reset_dirty()
    failed = residency.placement.place_all(slots[mine].tolist(), [records[index] for index in mine.tolist()])
    lost = [table.session_id(slot) for slot in failed]
    for slot in failed:
        table.forget(slot)
    mine = mine[~np.isin(slots[mine], list(failed))]
    part = tail.only(np.flatnonzero(np.isin(tail.record, mine)))
    _step(part, slots, residency)
    _commit(part, records, slots, residency)
    return lost


def _width(residency: Residency) -> int:
    return residency.versions.newest.model.manifest.row_layout.width


def _sorted(recovered: Recovered, width: int) -> _Tail:
    """By record, without what the records hold already."""
    names = ("index", "before", "after", "last_times_us", "num_steps")
    batches = recovered.tail
    entries = np.concatenate(
        [np.stack([getattr(batch, name) for name in names]) for batch in batches]
        or [np.empty((len(names), 0), np.int64)],
        axis=1,
    )
    at_s = np.concatenate([np.full(len(batch.index), batch.at_s) for batch in batches] or [np.empty(0)])
    rows = np.concatenate([_as_wide(batch.rows, width) for batch in batches] or [np.empty((0, width))])
    positions = np.array([record.position for record in recovered.records], np.int64)
    wanted = (entries[0] >= 0) & (entries[2] > positions[np.maximum(entries[0], 0)])
    order = np.argsort(entries[0], kind="stable")
    return _Tail(entries, at_s, rows).only(order[wanted[order]])


def _as_wide(rows: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.float64]:
    """Rows of another width are of versions that read other columns: their sessions are lost, not stepped."""
    return rows if rows.shape[1] == width else np.full((len(rows), width), np.nan)


def _checked(tail: _Tail, records: Sequence[Record]) -> tuple[_Tail, set[int]]:
    """Each entry must begin where the one before it ended; a record of which one does not is left out."""
    positions = np.array([record.position for record in records], np.int64)
    record, before, after = tail.entries[:3]
    expected = np.concatenate([[0], after])[: len(after)]
    is_first = np.concatenate([[True], record[1:] != record[:-1]])[: len(record)]
    expected[is_first] = positions[record[is_first]]
    broken = set(record[before != expected].tolist())
    if not broken:
        return tail, broken
    return tail.only(np.flatnonzero(~np.isin(record, list(broken)))), broken


def _step(tail: _Tail, slots: Integers, residency: Residency) -> None:
    """Rows of each record in its order; records that have as many left step together."""
    left = np.bincount(tail.record, tail.num_steps, len(slots)).astype(np.int64)
    at = np.cumsum(left) - left
    while left.any():
        length = min(_LONGEST, 1 << (int(left.max()).bit_length() - 1))
        for mine in _in_batches(np.flatnonzero(left >= length)):
            rows = tail.rows[at[mine][:, None] + np.arange(length)]
            for loaded, some in residency.placement.by_version(slots[mine]):
                chosen = np.isin(slots[mine], some)
                loaded.model.runner.step(slots[mine][chosen], rows[chosen], Reply.NONE)
            residency.recent.add(slots[mine], rows)
            at[mine] += length
            left[mine] -= length


def _in_batches(entries: Integers) -> Iterator[Integers]:
    for start in range(0, len(entries), _BATCH):
        yield entries[start : start + _BATCH]


def _commit(tail: _Tail, records: Sequence[Record], slots: Integers, residency: Residency) -> None:
    """Positions and times as after each record's last entry."""
    record, _, after, last_times_us, _ = tail.entries
    timed = np.flatnonzero(last_times_us != NO_TIME)
    # The last of several stays.
    latest = dict(zip(record[timed].tolist(), last_times_us[timed].tolist(), strict=True))
    last = dict(zip(record.tolist(), zip(after.tolist(), tail.at_s.tolist(), strict=True), strict=True))
    for index, (position, at_s) in last.items():
        last_time_us = latest.get(index, records[index].last_time_us)
        residency.table.recover(int(slots[index]), position, last_time_us, residency.idle_s(at_s))
