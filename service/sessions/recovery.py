"""After a restart: the journal's rows, stepped again through the engine in large batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.engine.runner import Reply
from service.sessions.frame import Integers
from service.sessions.residency import Residency
from service.store.contract import NO_TIME, Record, Recovered

# Sessions that step together, and rows of each.
_BATCH = 1024
_LONGEST = 64


@dataclass(frozen=True, eq=False, slots=True)
class _Tail:
    """Journalled entries of some records, each record's together and oldest first.

    Attributes:
        record: (M,) index of each entry's record, ascending.
        rows: (sum of num_steps, F).
    """

    record: Integers
    before: Integers
    after: Integers
    last_times_us: Integers
    num_steps: Integers
    at_s: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float64]


def recover(recovered: Recovered, residency: Residency) -> tuple[int, list[str]]:
    """Put sessions into memory as they stood when their last row was acknowledged.

    Returns:
        The rows that were stepped again, and the ids of sessions whose journal has a hole: they are
        not in memory, and the store has them as of their last checkpoint.
    """
    if not recovered.records:
        return 0, []
    tail = _sorted(recovered)
    records = list(recovered.records)
    tail, broken = _checked(tail, records)
    slots = np.full(len(records), -1)
    for index, record in enumerate(records):
        if index not in broken:
            slots[index] = residency.table.resolve(record.session_id)
            residency.place(int(slots[index]), record)
    residency.table.unloaded.clear()
    _step(tail, slots, residency)
    _commit(tail, records, slots, residency)
    return int(tail.num_steps.sum()), [records[index].session_id for index in broken]


def _sorted(recovered: Recovered) -> _Tail:
    batches = recovered.tail
    num_features = batches[0].rows.shape[1] if batches else 1
    columns = [
        np.concatenate([getattr(batch, name) for batch in batches] or [np.empty(0, np.int64)])
        for name in ("index", "before", "after", "last_times_us", "num_steps")
    ]
    at_s = np.concatenate([np.full(len(batch.index), batch.at_s) for batch in batches] or [np.empty(0)])
    rows = np.concatenate([batch.rows for batch in batches] or [np.empty((0, num_features))])
    index = columns[0]
    positions = np.array([record.position for record in recovered.records], np.int64)
    wanted = (index >= 0) & (columns[2] > positions[np.maximum(index, 0)])
    order = np.argsort(index, kind="stable")
    order = order[wanted[order]]
    steps = columns[4]
    starts = np.cumsum(steps) - steps
    return _Tail(*(column[order] for column in columns), at_s[order], rows[_rows(starts[order], steps[order])])


def _rows(starts: Integers, lengths: Integers) -> Integers:
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(total)


def _checked(tail: _Tail, records: Sequence[Record]) -> tuple[_Tail, set[int]]:
    """Each entry must begin where the one before it ended; a record of which one does not is left out."""
    positions = np.array([record.position for record in records], np.int64)
    expected = np.empty_like(tail.after)
    expected[1:] = tail.after[:-1]
    is_first = np.ones(len(tail.record), bool)
    is_first[1:] = tail.record[1:] != tail.record[:-1]
    expected[is_first] = positions[tail.record[is_first]]
    broken = set(tail.record[tail.before != expected].tolist())
    if not broken:
        return tail, broken
    keep = ~np.isin(tail.record, list(broken))
    columns = [getattr(tail, name)[keep] for name in ("record", "before", "after", "last_times_us", "num_steps", "at_s")]
    return _Tail(*columns, tail.rows[np.repeat(keep, tail.num_steps)]), broken


def _step(tail: _Tail, slots: Integers, residency: Residency) -> None:
    """Rows of each record in its order; records that have as many left step together."""
    left = np.bincount(tail.record, tail.num_steps, len(slots)).astype(np.int64)
    at = np.cumsum(left) - left
    while left.any():
        length = min(_LONGEST, 1 << (int(left.max()).bit_length() - 1))
        for mine in _in_batches(np.flatnonzero(left >= length)):
            rows = tail.rows[at[mine][:, None] + np.arange(length)]
            for loaded, some in residency.by_version(slots[mine]):
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
    last = np.flatnonzero(np.append(tail.record[1:] != tail.record[:-1], True)) if len(tail.record) else []
    latest: dict[int, int] = {}
    for entry in np.flatnonzero(tail.last_times_us != NO_TIME).tolist():
        latest[int(tail.record[entry])] = int(tail.last_times_us[entry])
    for entry in np.asarray(last, np.int64).tolist():
        index = int(tail.record[entry])
        record = records[index]
        residency.table.recover(
            int(slots[index]),
            int(tail.after[entry]),
            latest.get(index, record.last_time_us),
            residency.idle_s(float(tail.at_s[entry])),
        )
