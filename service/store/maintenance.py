"""What is done to a store's file while no server has it: look it over, make it small, bring its format up."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from service.errors import StoreRefused
from service.store import sqlite_journal, sqlite_records, sqlite_recovery, sqlite_schema
from service.store.sqlite_file import SqliteFile, reason
from service.store.sqlite_mark import Mark

# Shows how far something is: what is read, and of how many sessions where they are counted; the block that it
# spans is given what tells of more of them.
Watching = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]

# What brings a file from a format to the next one, in the transaction that says so.
_STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {}


@dataclass(frozen=True, slots=True)
class ModelReport:
    """One model's part of a file.

    Attributes:
        num_journal_rows: rows that its sessions' saved states lack, or that are not taken out yet.
        damaged_sessions: id and reason of each session that cannot be loaded.
        num_lost_batches: that were acknowledged and are gone from the journal's end.
        damaged_batches: what is wrong with batches of the journal of which nobody can tell whose rows they
            held; while there are any, the model's sessions are unavailable.
    """

    model: str
    num_sessions: int
    num_journal_batches: int
    num_journal_rows: int
    num_lost_batches: int
    damaged_sessions: tuple[tuple[str, str], ...]
    damaged_batches: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a file was found to be.

    Attributes:
        damage: what SQLite says of the file's structure.
        num_repaired: batches that were given up, their rows with them.
    """

    version: int
    num_bytes: int
    models: tuple[ModelReport, ...]
    damage: tuple[str, ...]
    num_repaired: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damage and not any(
            model.damaged_sessions or model.damaged_batches or model.num_lost_batches for model in self.models
        )


@dataclass(frozen=True, slots=True)
class Compacted:
    """How large a file was, and is."""

    num_bytes_before: int
    num_bytes_after: int


@dataclass(frozen=True, slots=True)
class Migrated:
    """A file's format before and after."""

    version_before: int
    version_after: int


def _unwatched(_what: str, _total: int | None) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda _: None)


def check(path: Path, repair: bool = False, watching: Watching = _unwatched) -> Checked:
    """Read all of a file and say what is damaged.

    Args:
        repair: give up batches of the journal of which nobody can tell whose rows they held. Sessions that
            have rows after such a batch are found to be damaged when the server starts, others that had
            their last rows in it stand before them.

    Raises:
        StoreRefused: there is no such file, another process has it, or it is something else.
    """
    with _opened(path) as file:
        with file.reading() as connection:
            version = sqlite_schema.version(connection)
            with watching("structure", None):
                damage = _structure(connection)
            reports = [
                _report(connection, file.mark, model, name, watching) for model, name in _models(connection)
            ]
        num_repaired = 0
        if repair:
            with file.writing() as connection:
                num_repaired = sum(_give_up(connection, model) for model, _ in _models(connection))
    return Checked(version, path.stat().st_size, tuple(reports), damage, num_repaired)


def compact(path: Path) -> Compacted:
    """Give the space of ended sessions and of the journal back to the file system.

    Raises:
        StoreRefused: as for `check`, or there is no room for the copy that this makes.
    """
    before = path.stat().st_size if path.exists() else 0
    with _opened(path) as file, file.reading() as connection:
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return Compacted(before, path.stat().st_size)


def migrate(path: Path) -> Migrated:
    """Bring a file to this program's format; a file that has it is left alone.

    Raises:
        StoreRefused: as for `check`, or it is of a later format.
    """
    _must_exist(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        try:
            before = sqlite_schema.version(connection)
            for version in range(before, sqlite_schema.VERSION):
                connection.execute("BEGIN EXCLUSIVE")
                _STEPS[version](connection)
                connection.execute(f"PRAGMA user_version = {version + 1}")
                connection.execute("COMMIT")
            sqlite_schema.check_version(connection)
        except sqlite_schema.UnknownFormat as error:
            raise StoreRefused(str(path), str(error)) from error
        except sqlite3.Error as error:
            raise StoreRefused(str(path), reason(error)) from error
    return Migrated(before, sqlite_schema.VERSION)


@contextmanager
def _opened(path: Path) -> Iterator[SqliteFile]:
    _must_exist(path)
    file = SqliteFile(path, "power", lock_timeout_s=0.5)
    try:
        yield file
    finally:
        file.close()


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise StoreRefused(
            str(path), "there is no such file; it is the sessions.db in the server's --data-dir"
        )
    log = Path(f"{path}-wal")
    if not path.stat().st_size and not (log.is_file() and log.stat().st_size):
        # SQLite would take it for a new database, and it would be found to be whole.
        raise StoreRefused(str(path), "it is empty: it never held a session, or lost what it held")


def _models(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    return connection.execute("SELECT model, name FROM models ORDER BY name").fetchall()


def _structure(connection: sqlite3.Connection) -> tuple[str, ...]:
    try:
        said = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    except sqlite3.DatabaseError as error:
        said = [reason(error)]
    return tuple(line for line in said if line != "ok")


def _report(
    connection: sqlite3.Connection, mark: Mark, model: int, name: str, watching: Watching
) -> ModelReport:
    first, last = sqlite_journal.bounds(connection, model)
    found = list(sqlite_journal.read(connection, model, first, last))
    lost = [each for each in found if each.keys is None]
    num_sessions = sqlite_records.count(connection, model)
    with watching(name, num_sessions) as advance:
        faults = dict(_told_faults(connection, model, advance))
    if not lost:
        faults |= {row.session_id: why for row, why in sqlite_recovery.scan(connection, model).faults}
    return ModelReport(
        model=name,
        num_sessions=num_sessions,
        num_journal_batches=len(found),
        num_journal_rows=sum(len(each.batch.rows) for each in found if each.batch is not None),
        num_lost_batches=max(mark.read(model) - last, 0),
        damaged_sessions=tuple(sorted(faults.items())),
        damaged_batches=tuple(sqlite_recovery.unreadable(each) for each in lost),
    )


def _told_faults(
    connection: sqlite3.Connection, model: int, advance: Callable[[int], None]
) -> Iterator[tuple[str, str]]:
    # Where the index is damaged too, `damage` says so.
    with suppress(sqlite3.DatabaseError):
        yield from sqlite_records.faults(connection, model, advance)


def _give_up(connection: sqlite3.Connection, model: int) -> int:
    """Put empty batches in the place of those of which nobody can tell whose rows they held."""
    first, last = sqlite_journal.bounds(connection, model)
    lost = [each for each in sqlite_journal.read(connection, model, first, last) if each.keys is None]
    for each in lost:
        sqlite_journal.give_up(connection, model, each)
    return len(lost)
