"""The store's file: opened for one process alone, written in transactions, opened again after a fault."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from service.errors import StoreRefused, StoreUnavailable
from service.store import sqlite_schema
from service.store.sqlite_mark import Mark

# What a store's acknowledgement outlives: the end of the process, however it comes, or the machine's.
Durability = Literal["process", "power"]

# In WAL mode NORMAL leaves what was written in the care of the operating system, which outlives any end of
# the process, and syncs only where it would otherwise risk the file's structure; OFF is little faster, and
# a power failure could leave a file that does not open. FULL syncs each commit before it returns.
_SYNCHRONOUS: dict[Durability, str] = {"process": "NORMAL", "power": "FULL"}
_CACHE_KIB = 65_536
_CHECKPOINT_PAGES = 2_000
_MAX_LOG_BYTES = 64 * 2**20
# A server that is told to stop and started again finds its predecessor for a moment.
LOCK_TIMEOUT_S = 5.0

_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it cannot be written",
    sqlite3.SQLITE_BUSY: "another process has it",
    sqlite3.SQLITE_CORRUPT: "it is damaged; see `statecast store check`",
    sqlite3.SQLITE_NOTADB: "it is damaged, or not a SQLite database",
    sqlite3.SQLITE_IOERR: "it cannot be read or written",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
}
_PRIMARY_MASK = 0xFF
# After these the connection may be of no use any more although the file is well again.
_SUSPECT = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
}


class SqliteFile:
    """Not thread-safe: the store's thread owns it.

    Attributes:
        num_openings: what was remembered of the file's content in an earlier one may be wrong: a transaction
            whose sync failed may turn out to be there after all.
        mark: how far each model's journal had come.
    """

    def __init__(self, path: Path, durability: Durability, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        """Open the file, or make it.

        Raises:
            StoreRefused: it cannot be, another process has it, or it is something else.
        """
        self.path = path
        self._durability: Durability = durability
        self._lock_timeout_s = lock_timeout_s
        self.num_openings = 1
        self._num_faults = 0
        self._log = Path(f"{path}-wal")
        self._identity: tuple[object, object] = (None, None)
        self.mark = Mark(Path(f"{path}-mark"))
        self._connection: sqlite3.Connection | None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and not os.access(path, os.W_OK):
                raise PermissionError("it cannot be written")
            self._connection = self._open("rwc")
        except sqlite3.Error as error:
            raise StoreRefused(str(path), reason(error)) from error
        except (OSError, sqlite_schema.UnknownFormat) as error:
            raise StoreRefused(str(path), str(error)) from error

    def refresh(self) -> None:
        """Before each use: open the file again after two faults in a row, or where another is in its place.

        Raises:
            StoreUnavailable: it cannot be opened now.
        """
        if self._connection is not None and self._num_faults < 2 and self._identity == self._found():
            return
        self._disconnect()
        try:
            # Never made anew: an empty file in the place of one that is gone would lose every session.
            self._connection = self._open("rw")
        except sqlite3.Error as error:
            raise StoreUnavailable(f"{self.path}: {reason(error)}") from error
        except (OSError, sqlite_schema.UnknownFormat) as error:
            raise StoreUnavailable(f"{self.path}: {error}") from error
        self.num_openings += 1
        self._num_faults = 0

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """To read with.

        Raises:
            StoreUnavailable: the file cannot be read now.
        """
        with self._guarded() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed when the block ends, undone when it raises.

        Raises:
            StoreUnavailable: whether it was stored is not known.
        """
        with self._guarded() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Let go, the log written back where that can be done."""
        self._disconnect()
        self.mark.close()

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._connected()
        except sqlite3.Error as error:
            primary = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_MASK
            self._num_faults += primary in _SUSPECT
            raise StoreUnavailable(f"{self.path}: {reason(error)}") from error
        self._num_faults = 0

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreUnavailable(f"{self.path}: it is closed")
        return self._connection

    def _open(self, mode: Literal["rw", "rwc"]) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(self.path))}?mode={mode}",
            uri=True,
            timeout=self._lock_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(connection, mode)
        except BaseException:
            connection.close()
            raise
        self._identity = self._found()
        return connection

    def _prepare(self, connection: sqlite3.Connection, mode: Literal["rw", "rwc"]) -> None:
        for pragma in (
            # Before the log is touched: then no memory is shared either, and no second process gets in.
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            f"synchronous = {_SYNCHRONOUS[self._durability]}",
            f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
            f"journal_size_limit = {_MAX_LOG_BYTES}",
            f"cache_size = -{_CACHE_KIB}",
            "cell_size_check = ON",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        # Take the lock now, and the writer's, so that a file that cannot be written is refused at once.
        connection.execute("BEGIN IMMEDIATE")
        is_new = mode == "rwc" and sqlite_schema.is_empty(connection)
        connection.execute("COMMIT")
        if is_new:
            sqlite_schema.create(connection)
        sqlite_schema.check_version(connection)

    def _found(self) -> tuple[object, object]:
        """Which files stand where this one and its log were opened; rows written to others are lost."""
        return _identity(self.path), _identity(self._log)


def reason(error: sqlite3.Error) -> str:
    """What went wrong with a file, in a sentence."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return str(error)
    said = _REASONS.get(code & _PRIMARY_MASK)
    name = getattr(error, "sqlite_errorname", code)
    return f"{said} ({name})" if said else f"{error} ({name})"


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
