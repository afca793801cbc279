"""What a store's file says of one model's sessions when it is opened: the journal put beside the states."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from service.errors import StoreUnavailable
from service.store import sqlite_journal, sqlite_records
from service.store.contract import Tail, TailBatch
from service.store.journal import EMPTY
from service.store.sqlite_journal import Found
from service.store.sqlite_records import Row

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False, slots=True)
class Scan:
    """The journal's living part.

    Attributes:
        last: number of the journal's last batch.
        rows: (S,) the sessions that have rows in the journal which their states lack.
        batches: each batch of the journal and its entries among those rows; `index` into `rows`.
        faults: sessions that have lost rows, and how; not in `rows`.
    """

    last: int
    rows: Sequence[Row]
    batches: Sequence[tuple[int, TailBatch]]
    faults: Sequence[tuple[Row, str]]


@dataclass(frozen=True, eq=False, slots=True)
class _Entries:
    """Columns of every entry of the journal, in its order; `row` is -1 for sessions that are gone.

    Of a damaged batch `before` is not known and is -1: nobody stood there.
    """

    row: Integers
    number: Integers
    before: Integers
    after: Integers


def scan(connection: sqlite3.Connection, model: int) -> Scan:
    """Read the journal and the sessions it names.

    Raises:
        StoreUnavailable: a batch is damaged so that nobody can tell whose rows it held.
    """
    first, last = sqlite_journal.bounds(connection, model)
    found = list(sqlite_journal.read(connection, model, first, last))
    lost = next((each for each in found if each.keys is None), None)
    if lost is not None:
        raise StoreUnavailable(unreadable(lost))
    keys = _distinct(np.concatenate([_no_keys(), *(each.keys for each in found if each.keys is not None)]))
    rows = list(sqlite_records.find_keys(connection, keys.tolist()))
    entries = _entries(found, rows)
    is_needed = _needed(entries, rows)
    faults = _faults(entries, is_needed, rows, found)
    is_faulty = np.array([row.fault is not None or at in faults for at, row in enumerate(rows)], bool)
    is_alive = is_needed & ~_at(is_faulty, entries.row)
    kept = _distinct(entries.row[is_alive])
    index = np.full(len(rows), -1, np.int64)
    index[kept] = np.arange(len(kept))
    return Scan(
        last=last,
        rows=[rows[at] for at in kept.tolist()],
        batches=_batches(found, _at(index, entries.row), is_alive),
        faults=[(rows[at], why) for at, why in faults.items()],
    )


def read_tails(
    connection: sqlite3.Connection, model: int, first: int, last: int, rows: Sequence[Row]
) -> dict[int, Tail | str]:
    """By key, what the journal has beyond the states of some sessions, or how they have lost it.

    Raises:
        StoreUnavailable: a batch is damaged so that nobody can tell whose rows it held.
    """
    stands = {row.key: Tail(np.zeros((0, 0)), row.position, row.last_time_us) for row in rows}
    pieces: dict[int, list[npt.NDArray[np.float64]]] = {row.key: [] for row in rows}
    lost: dict[int, Tail | str] = {}
    wanted = np.array(sorted(stands), np.int64)
    for found in sqlite_journal.read(connection, model, first, last):
        if found.keys is None or found.after is None:
            raise StoreUnavailable(unreadable(found))
        for at in np.flatnonzero(np.isin(found.keys, wanted)).tolist():
            key, after = int(found.keys[at]), int(found.after[at])
            stood = stands[key].position
            if key in lost or after <= stood:
                continue
            if found.batch is None or found.batch.before[at] != stood:
                lost[key] = lost_rows(found.number, stood, found.fault or "it goes on from elsewhere")
                continue
            pieces[key].append(found.batch.rows_of(at))
            stands[key] = Tail(stands[key].rows, after, int(found.batch.last_times_us[at]))
    whole = {key: replace(stands[key], rows=np.concatenate(rows)) for key, rows in pieces.items() if rows}
    return whole | lost


def unreadable(found: Found) -> str:
    """Says of a batch that nobody can tell whose rows it held."""
    return (
        f"batch {found.number} of the journal is damaged ({found.fault}), and whose rows it held cannot be"
        " told; `statecast store check --repair` goes on without it"
    )


def lost_rows(number: int, position: int, why: str) -> str:
    """Says of a session that it has lost rows."""
    return f"rows after position {position} are lost: batch {number} of the journal is damaged ({why})"


def _entries(found: Sequence[Found], rows: Sequence[Row]) -> _Entries:
    keys, after, before = [_no_keys()], [_no_keys()], [_no_keys()]
    numbers = [_no_keys()]
    for each in found:
        if each.keys is None or each.after is None:
            continue
        keys.append(each.keys)
        after.append(each.after)
        before.append(np.full(len(each.keys), -1) if each.batch is None else each.batch.before)
        numbers.append(np.full(len(each.keys), each.number))
    row_keys = np.array([row.key for row in rows], np.int64)
    return _Entries(
        _places(np.concatenate(keys), row_keys),
        np.concatenate(numbers),
        np.concatenate(before),
        np.concatenate(after),
    )


def _places(keys: Integers, row_keys: Integers) -> Integers:
    """Where `keys` stand in `row_keys`, which ascend; -1 where they do not."""
    if not len(row_keys):
        return np.full(len(keys), -1, np.int64)
    places = np.minimum(np.searchsorted(row_keys, keys), len(row_keys) - 1)
    return np.where(row_keys[places] == keys, places, -1)


def _needed(entries: _Entries, rows: Sequence[Row]) -> Mask:
    """Which entries lead beyond the saved states of a session that is there."""
    positions = np.array([row.position for row in rows], np.int64)
    is_needed: Mask = (entries.row >= 0) & (entries.after > _at(positions, entries.row))
    return is_needed


def _faults(
    entries: _Entries, is_needed: Mask, rows: Sequence[Row], found: Sequence[Found]
) -> dict[int, str]:
    """By row, the first place at which a session's rows are damaged, or do not go on where they ended."""
    at = np.flatnonzero(is_needed)
    at = at[np.argsort(entries.row[at], kind="stable")]
    row = entries.row[at]
    is_first = np.append(True, row[1:] != row[:-1])[: len(row)]
    saved = _at(np.array([each.position for each in rows], np.int64), row)
    stood = np.where(is_first, saved, np.roll(entries.after[at], 1))
    is_broken = entries.before[at] != stood
    why = {each.number: each.fault for each in found}
    faults: dict[int, str] = {}
    for broken in np.flatnonzero(is_broken).tolist():
        number, position = int(entries.number[at[broken]]), int(stood[broken])
        said = why[number] or f"it goes on from position {entries.before[at[broken]]}"
        faults.setdefault(int(row[broken]), lost_rows(number, position, said))
    return {at: why for at, why in faults.items() if rows[at].fault is None}


def _batches(found: Sequence[Found], index: Integers, is_alive: Mask) -> list[tuple[int, TailBatch]]:
    batches, start = [], 0
    for each in found:
        end = start + (0 if each.keys is None else len(each.keys))
        kept = is_alive[start:end]
        # Of a damaged batch nothing is alive.
        batch = (each.batch or EMPTY).select(kept if each.batch is not None else EMPTY.keys.astype(bool))
        columns = (batch.before, batch.after, batch.last_times_us, batch.num_steps, batch.rows)
        batches.append((each.number, TailBatch(index[start:end][kept], *columns, each.at_s)))
        start = end
    return batches


def _at(values: npt.NDArray[Scalar], places: Integers) -> npt.NDArray[Scalar]:
    """`values[places]`, zero where a place is -1."""
    padded: npt.NDArray[Scalar] = np.append(values, np.zeros(1, values.dtype))
    return padded[places]


def _distinct(values: Integers) -> Integers:
    """Ascending. `np.unique` of numpy 2.4 takes ten times as long for a million."""
    ordered = np.sort(values)
    distinct: Integers = ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]
    return distinct


def _no_keys() -> Integers:
    return np.zeros(0, np.int64)
