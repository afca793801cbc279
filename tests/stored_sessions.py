"""A store's file with more sessions than would be streamed for a test."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from models.manifest import Manifest
from service.store import sqlite_records
from service.store.sqlite_file import SqliteFile
from service.store.sqlite_numbers import Numbers
from service.store.sqlite_records import Row

# What a file wants that must outlive a crash is time here; as much is kept in memory as it will have.
_FAST = ("journal_mode = DELETE", "journal_mode = OFF", "synchronous = OFF", "cache_size = -500000")


def write_sessions(path: Path, manifest: Manifest, num: int) -> None:
    """Sessions `meter-0000000` and so on of one model, as the store writes them: some 100,000 a second.

    Number i has consumed i % 1000 + 1 rows, and was used i milliseconds ago.
    """
    file = SqliteFile(path, "process", lock_timeout_s=1.0)
    numbers = Numbers(file)
    model, digest = numbers.model(manifest.name), numbers.digest(manifest.digest)
    states, now_s = bytes(manifest.state_bytes), time.time()
    file.close()

    def rows() -> Iterator[Row]:
        for i, key in enumerate(numbers.keys(num)):
            yield Row(key, f"meter-{i:07d}", digest, i % 1000 + 1, i, now_s - i / 1000, states)

    with closing(sqlite3.connect(path)) as connection, connection:
        for pragma in _FAST:
            connection.execute(f"PRAGMA {pragma}")
        sqlite_records.put(connection, model, rows())
