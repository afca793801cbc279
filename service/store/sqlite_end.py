"""Ends sessions."""

import contextlib

from service.errors import StoreUnavailable
from service.store import sqlite_records
from service.store.sqlite_model import SqliteModel

# Sessions that end in one transaction; others wait for it.
_MAX_ENDED = 1_000
# Before every session that may have expired.
FIRST = (float("-inf"), 0)


def delete(model: SqliteModel, session_id: str) -> bool:
    """See `SessionStore`."""
    with model.writing() as connection:
        is_there = sqlite_records.delete_id(connection, model.number, session_id)
    model.forget([session_id])
    return is_there


def expire(
    model: SqliteModel, before_s: float, after: tuple[float, int]
) -> tuple[list[str], tuple[float, int] | None]:
    """End some of the sessions not used since; returns their ids, and what to give as `after` next time."""
    with model.writing() as connection:
        found = sqlite_records.expired(connection, model.number, before_s, after, _MAX_ENDED)
        ended = [
            (key, session_id)
            for used_at_s, key, session_id in found
            if model.used_at_s(session_id, used_at_s) < before_s
        ]
        sqlite_records.delete(connection, [key for key, _ in ended])
    ids = [session_id for _, session_id in ended]
    model.forget(ids)
    return ids, found[-1][:2] if len(found) == _MAX_ENDED else None


def trim(model: SqliteModel) -> None:
    """Take out of the journal what is not needed, where that can be done."""
    with contextlib.suppress(StoreUnavailable), model.writing():
        pass
