"""Reads sessions."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from service.store import sqlite_records
from service.store.contract import NO_TOKEN, Listed, Record, StoreFault, Tail
from service.store.known import Slots
from service.store.sqlite_model import SqliteModel
from service.store.sqlite_records import Row
from service.store.sqlite_recovery import read_tails


@dataclass(frozen=True, slots=True)
class _Found:
    """A session as table and journal have it together; `fault` where they do not fit."""

    row: Row
    tail: Tail | None
    fault: str | None = None


def load(model: SqliteModel, session_ids: Sequence[str]) -> list[Record | StoreFault | None]:
    """See `SessionStore`."""
    model.known.make_room()
    with model.file.reading() as connection:
        found = _find(connection, model, session_ids)
    _let_go(model, found)
    whole = [each for each in found if isinstance(each, _Found) and each.fault is None]
    tokens = iter(model.known.take_over(_know(model, [each.row for each in whole])).tolist())
    is_whole = [isinstance(each, _Found) and each.fault is None for each in found]
    return [
        _told(model, each, next(tokens) if good else NO_TOKEN)
        for each, good in zip(found, is_whole, strict=True)
    ]


def peek(model: SqliteModel, session_id: str) -> Record | StoreFault | None:
    """See `SessionStore`."""
    with model.file.reading() as connection:
        (found,) = _find(connection, model, [session_id])
    return _told(model, found, NO_TOKEN)


def page(model: SqliteModel, prefix: str, after: str, limit: int) -> tuple[list[Listed], str]:
    """See `SessionStore`. In the order of the ids' UTF-8; `after` is the last id of the page before."""
    with model.file.reading() as connection:
        rows = sqlite_records.page(connection, model.number, prefix, after, limit + 1)
    listed = [_listed(model, row) for row in rows[:limit] if not model.is_over(row.session_id, row.used_at_s)]
    return listed, rows[limit - 1].session_id if len(rows) > limit else ""


def _find(
    connection: sqlite3.Connection, model: SqliteModel, session_ids: Sequence[str]
) -> list[_Found | StoreFault | None]:
    rows = [sqlite_records.find(connection, model.number, session_id) for session_id in session_ids]
    tails = _tails(connection, model, [row for row in rows if isinstance(row, Row) and row.fault is None])
    return [_judged(model, row, tails.get(row.key)) if isinstance(row, Row) else row for row in rows]


def _tails(connection: sqlite3.Connection, model: SqliteModel, rows: Sequence[Row]) -> dict[int, Tail | str]:
    slots = {row.key: slot for row in rows if (slot := model.known.find(row.session_id)) is not None}
    behind = [row for row in rows if row.key in slots and model.known.pending[slots[row.key]]]
    if not behind:
        return {}
    first = int(model.known.pending[[slots[row.key] for row in behind]].min())
    return read_tails(connection, model.number, first, model.last, behind)


def _judged(model: SqliteModel, row: Row, tail: Tail | str | None) -> _Found | None:
    if row.fault is not None:
        return _Found(row, None, row.fault)
    if model.is_over(row.session_id, row.used_at_s):
        return None
    return _Found(row, None, tail) if isinstance(tail, str) else _Found(row, tail)


def _let_go(model: SqliteModel, found: Sequence[_Found | StoreFault | None]) -> None:
    """Of sessions with a fault the journal is not needed any more, once the file says that they have one."""
    found_out = [each for each in found if isinstance(each, _Found) and each.fault and not each.row.fault]
    if found_out:
        with model.file.writing() as connection:
            sqlite_records.mark(connection, [(each.row.key, str(each.fault)) for each in found_out])
    faulty = [each.row.session_id for each in found if isinstance(each, _Found) and each.fault]
    unreadable = [each.session_id for each in found if isinstance(each, StoreFault)]
    model.forget(faulty + unreadable)


def _know(model: SqliteModel, rows: Sequence[Row]) -> Slots:
    """The slots of sessions, which are up to date where they were not known."""
    known = model.known
    known.add_rows([row for row in rows if known.find(row.session_id) is None])
    return np.array([known.find(row.session_id) for row in rows], np.int64)


def _told(model: SqliteModel, found: _Found | StoreFault | None, token: int) -> Record | StoreFault | None:
    if not isinstance(found, _Found):
        return found
    if found.fault is not None:
        return StoreFault(found.row.session_id, found.fault)
    used_at_s = model.used_at_s(found.row.session_id, found.row.used_at_s)
    return replace(model.record(found.row, token), used_at_s=used_at_s, tail=found.tail)


def _listed(model: SqliteModel, row: Row) -> Listed:
    known, slot = model.known, model.known.find(row.session_id)
    if slot is None:
        digest, position, last_time_us, used_at_s = row.digest, row.position, row.last_time_us, row.used_at_s
    else:
        digest, position = int(known.digests[slot]), int(known.positions[slot])
        last_time_us, used_at_s = int(known.last_times_us[slot]), float(known.used_at_s[slot])
    return Listed(row.session_id, model.numbers.digest_name(digest), position, last_time_us, used_at_s)
