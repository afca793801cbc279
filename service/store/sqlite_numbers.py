"""Names that the file has many times, as numbers."""

import sqlite3
from itertools import count

from service.store.sqlite_file import SqliteFile


class Numbers:
    """Models, digests and the keys of sessions. Not thread-safe: the store's thread owns it."""

    def __init__(self, file: SqliteFile) -> None:
        self._file = file
        with file.reading() as connection:
            self._models = _all(connection, "models", "model")
            self._digests = _all(connection, "digests", "digest")
            last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'sessions'").fetchone()
        self._digest_names = {number: name for name, number in self._digests.items()}
        # A key whose transaction is undone is left out.
        self._keys = count(1 if last is None else last[0] + 1)

    def model(self, name: str) -> int:
        """A model's number; one that is new gets one in a transaction of its own.

        Raises:
            StoreUnavailable: the file cannot be written now.
        """
        if name not in self._models:
            self._models[name] = self._insert("models", "model", name)
        return self._models[name]

    def digest(self, name: str) -> int:
        """A digest's number; one that is new gets one in a transaction of its own.

        Raises:
            StoreUnavailable: the file cannot be written now.
        """
        if name not in self._digests:
            self._digests[name] = self._insert("digests", "digest", name)
            self._digest_names[self._digests[name]] = name
        return self._digests[name]

    def digest_or_none(self, name: str) -> int | None:
        """A digest's number, where it has one. Any thread may ask."""
        return self._digests.get(name)

    def digest_name(self, number: int) -> str:
        """The digest that has a number."""
        return self._digest_names[number]

    def keys(self, num: int) -> list[int]:
        """Keys that no session has had."""
        return [next(self._keys) for _ in range(num)]

    def _insert(self, table: str, column: str, name: str) -> int:
        with self._file.writing() as connection:
            connection.execute(f"INSERT INTO {table} (name) VALUES (?)", (name,))
            (number,) = connection.execute(f"SELECT {column} FROM {table} WHERE name = ?", (name,)).fetchone()
        return int(number)


def _all(connection: sqlite3.Connection, table: str, column: str) -> dict[str, int]:
    return dict(connection.execute(f"SELECT name, {column} FROM {table}"))
