"""The tables of a store file, and its format's version."""

import sqlite3

# "stca"
APPLICATION_ID = 0x73746361
VERSION = 1

# A journal row's number: the model's in the upper bits, the batch's, from 1 on without gaps, in the lower.
BATCH_BITS = 40

_TABLES = """
CREATE TABLE models (
    model INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- The last batch that is not in the journal any more because every state in `sessions` has its rows.
    trimmed INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE digests (
    digest INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
-- A key is never given again, so that no row of the journal can be taken for another session's.
CREATE TABLE sessions (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    model INTEGER NOT NULL,
    id BLOB NOT NULL,
    digest INTEGER NOT NULL,
    position INTEGER NOT NULL,
    last_time_us INTEGER NOT NULL,
    used_at_s REAL NOT NULL,
    checksum INTEGER NOT NULL,
    -- Why this session is not to be loaded.
    fault TEXT,
    states BLOB NOT NULL,
    recent BLOB NOT NULL,
    -- Room for the states of a session that has none yet: a row that grows in place is slow.
    reserved BLOB,
    UNIQUE (model, id)
);
CREATE INDEX sessions_by_use ON sessions (model, used_at_s);
CREATE TABLE journal (
    number INTEGER PRIMARY KEY,
    at_s REAL NOT NULL,
    names BLOB NOT NULL,
    rows BLOB NOT NULL
);
"""


class UnknownFormat(Exception):
    """A file that is not a store of this version; the message says what it is."""


def create(connection: sqlite3.Connection) -> None:
    """Write the tables into an empty file, whole or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _statements(_TABLES):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether nothing has been written into the file."""
    (num_tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(num_tables == 0)


def version(connection: sqlite3.Connection) -> int:
    """The format's version.

    Raises:
        UnknownFormat: a database of somebody else's.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        raise UnknownFormat("a SQLite database, but not a store of sessions")
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    return int(found)


def check_version(connection: sqlite3.Connection) -> None:
    """Raises:
    UnknownFormat: another version than VERSION, or not a store.
    """
    found = version(connection)
    if found > VERSION:
        raise UnknownFormat(f"format {found}, and this program knows formats up to {VERSION}: update it")
    if found < VERSION:
        raise UnknownFormat(f"format {found}: run `statecast store migrate` to bring it to format {VERSION}")


def _statements(script: str) -> list[str]:
    return [statement for statement in script.split(";\n") if statement.strip()]
