"""Sessions in the file's table, each with a checksum of its own."""

import sqlite3
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from service.store.contract import NO_TIME, StoreFault

_COLUMNS = "key, id, digest, position, last_time_us, used_at_s, checksum, fault, states, recent"
_CHECKED = struct.Struct("<qqqqd")
_NUM_VARIABLES = 500


# Not frozen: a hundred thousand are made at a restart, and a frozen one takes twice as long.
@dataclass(slots=True)
class Row:
    """A session as the table has it; what the journal has beyond it is not in. Nobody changes one.

    Attributes:
        digest: its number.
        fault: why it is not to be loaded, or None.
    """

    key: int
    session_id: str
    digest: int
    position: int
    last_time_us: int
    used_at_s: float
    states: bytes
    recent: bytes = b""
    fault: str | None = None

    @property
    def checksum(self) -> int:
        """Over everything but the fault."""
        head = _CHECKED.pack(self.key, self.digest, self.position, self.last_time_us, self.used_at_s)
        return zlib.crc32(
            self.recent, zlib.crc32(self.states, zlib.crc32(self.session_id.encode(), zlib.crc32(head)))
        )

    @property
    def content(self) -> tuple[int, int, int, float, int, bytes, bytes]:
        """What is saved: digest to recent, in the table's order, but for the fault."""
        checksum = self.checksum
        return (
            self.digest,
            self.position,
            self.last_time_us,
            self.used_at_s,
            checksum,
            self.states,
            self.recent,
        )


def new_row(key: int, session_id: str, digest: int, at_s: float) -> Row:
    """A session in its initial states."""
    return Row(key, session_id, digest, 0, NO_TIME, at_s, b"")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file has been read and is wrong, rather than that it cannot be read."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def find(connection: sqlite3.Connection, model: int, session_id: str) -> Row | StoreFault | None:
    """A session by its id; a row with a fault may come as either."""
    try:
        found = connection.execute(
            f"SELECT {_COLUMNS} FROM sessions WHERE model = ? AND id = ?", (model, session_id.encode())
        ).fetchone()
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            return StoreFault(session_id, f"the file is damaged where the session is: {error}")
        raise
    if found is None:
        return None
    row = _row(found)
    if row.session_id != session_id:
        return StoreFault(session_id, "the file's index is damaged: it leads to another session")
    return row


def find_use(connection: sqlite3.Connection, model: int, session_id: str) -> tuple[int, float] | None:
    """A session's key, and when it was used as far as the table has it."""
    found: tuple[int, float] | None = connection.execute(
        "SELECT key, used_at_s FROM sessions WHERE model = ? AND id = ?", (model, session_id.encode())
    ).fetchone()
    return found


def page(connection: sqlite3.Connection, model: int, prefix: str, after: str, limit: int) -> list[Row]:
    """The first sessions after `after` whose ids begin with `prefix`, without their states."""
    first = prefix.encode()
    # No byte of UTF-8 is 255: nothing that begins with the prefix comes after this.
    behind = first + b"\xff"
    found = connection.execute(
        "SELECT key, id, digest, position, last_time_us, used_at_s FROM sessions"
        " WHERE model = ? AND id >= ? AND id > ? AND id < ? ORDER BY id LIMIT ?",
        (model, first, after.encode(), behind, limit),
    )
    return [
        Row(key, session_id.decode(), digest, position, last_time_us, used_at_s, b"")
        for key, session_id, digest, position, last_time_us, used_at_s in found
    ]


def expired(
    connection: sqlite3.Connection, model: int, before_s: float, after: tuple[float, int], limit: int
) -> list[tuple[float, int, str]]:
    """When used, key and id of sessions not used since, as far as the table knows; after another's."""
    found = connection.execute(
        "SELECT used_at_s, key, id FROM sessions WHERE model = ? AND used_at_s < ?"
        " AND (used_at_s, key) > (?, ?) ORDER BY used_at_s, key LIMIT ?",
        (model, before_s, *after, limit),
    )
    return [(used_at_s, key, session_id.decode(errors="replace")) for used_at_s, key, session_id in found]


def count(connection: sqlite3.Connection, model: int, prefix: str = "") -> int:
    """Sessions whose ids begin with `prefix`."""
    first = prefix.encode()
    # As in `page`; without a prefix damaged ids count too.
    (num,) = connection.execute(
        "SELECT count(*) FROM sessions WHERE model = ?" + (" AND id >= ? AND id < ?" if prefix else ""),
        (model, first, first + b"\xff") if prefix else (model,),
    ).fetchone()
    return int(num)


def find_keys(connection: sqlite3.Connection, keys: Sequence[int]) -> Iterator[Row]:
    """Sessions by their keys, which ascend; those that are gone or cannot be read are left out."""
    for some in _split(keys):
        try:
            yield from [_row(each) for each in _by_keys(connection, some)]
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            yield from _readable(connection, some)


def faults(
    connection: sqlite3.Connection, model: int, advance: Callable[[int], None]
) -> Iterator[tuple[str, str]]:
    """Ids of sessions that cannot be loaded, and why; read as far as the index of ids can be.

    Args:
        advance: is told how many more were read.
    """
    after = b""
    while found := connection.execute(
        "SELECT id, key FROM sessions WHERE model = ? AND id > ? ORDER BY id LIMIT ?",
        (model, after, _NUM_VARIABLES),
    ).fetchall():
        rows = {row.key: row for row in find_keys(connection, sorted(key for _, key in found))}
        for session_id, key in found:
            why = rows[key].fault if key in rows else "the file is damaged where the session is"
            if why is not None:
                yield session_id.decode(errors="replace"), why
        advance(len(found))
        after = found[-1][0]


def put(connection: sqlite3.Connection, model: int, rows: Iterable[Row], num_reserved_bytes: int = 0) -> None:
    """Put sessions in, in the place of those that bear their ids."""
    connection.executemany(
        "INSERT OR REPLACE INTO sessions (model, reserved, key, id, digest, position, last_time_us,"
        " used_at_s, checksum, states, recent) VALUES (?, zeroblob(?), ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((model, num_reserved_bytes, row.key, row.session_id.encode(), *row.content) for row in rows),
    )


def update(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Other states for sessions that are there."""
    connection.executemany(
        "UPDATE sessions SET digest = ?, position = ?, last_time_us = ?, used_at_s = ?, checksum = ?,"
        " states = ?, recent = ?, reserved = NULL WHERE key = ?",
        # Neighbours in the file one after the other.
        ((*row.content, row.key) for row in sorted(rows, key=lambda row: row.key)),
    )


def mark(connection: sqlite3.Connection, faults: Iterable[tuple[int, str]]) -> None:
    """Keys of sessions that are not to be loaded, and why; the first reason stays."""
    connection.executemany(
        "UPDATE sessions SET fault = ? WHERE key = ? AND fault IS NULL", ((why, key) for key, why in faults)
    )


def delete_id(connection: sqlite3.Connection, model: int, session_id: str) -> bool:
    """Take a session out; whether it was there."""
    found = connection.execute(
        "DELETE FROM sessions WHERE model = ? AND id = ?", (model, session_id.encode())
    )
    return found.rowcount > 0


def delete(connection: sqlite3.Connection, keys: Iterable[int]) -> None:
    """Take sessions out."""
    connection.executemany("DELETE FROM sessions WHERE key = ?", ((key,) for key in keys))


def _row(found: tuple[Any, ...]) -> Row:
    key, session_id, digest, position, last_time_us, used_at_s, checksum, fault, states, recent = found
    name = session_id.decode(errors="replace") if isinstance(session_id, bytes) else ""
    row = Row(key, name, digest, position, last_time_us, used_at_s, states, recent, fault)
    try:
        is_whole = row.checksum == checksum
    except (TypeError, struct.error):
        is_whole = False
    if is_whole:
        return row
    why = fault or "its states are damaged in the file: the checksum is wrong"
    return Row(key, name, 0, 0, NO_TIME, 0.0, b"", b"", why)


def _by_keys(connection: sqlite3.Connection, keys: Sequence[int]) -> sqlite3.Cursor:
    places = ",".join("?" * len(keys))
    return connection.execute(f"SELECT {_COLUMNS} FROM sessions WHERE key IN ({places}) ORDER BY key", keys)


def _readable(connection: sqlite3.Connection, keys: Sequence[int]) -> Iterator[Row]:
    for key in keys:
        try:
            yield from [_row(each) for each in _by_keys(connection, [key])]
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise


def _split(keys: Sequence[int]) -> Iterator[list[int]]:
    remaining = iter(keys)
    while some := list(islice(remaining, _NUM_VARIABLES)):
        yield some
