"""A store's file while no server has it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from service.errors import StoreRefused
from service.store import sqlite_schema
from service.store.maintenance import Migrated, check, compact, migrate
from service.store.sqlite_store import SqliteStore
from tests.contract.store_cases import MODEL, OTHER_MODEL, TTL_S, HandClock, a_truth, begin, truths


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """Of a closed store: two sessions of MODEL with a journalled row each, one of OTHER_MODEL."""
    path = tmp_path / "store.db"
    store = SqliteStore(path, "process", TTL_S, HandClock())
    await begin(store, ["a", "b"])
    await store.save(OTHER_MODEL, [a_truth().record("a")])
    await store.close()
    return path


def run(path: Path, statement: str) -> None:
    """Change the file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


class TestCheck:
    """`check`."""

    def test_a_whole_file_is_whole(self, path: Path) -> None:
        """What is in it is counted by model, and nothing is changed."""
        checked = check(path)
        assert checked.is_whole
        assert (checked.version, checked.num_bytes) == (sqlite_schema.VERSION, path.stat().st_size)
        counts = [
            (m.model, m.num_sessions, m.num_journal_batches, m.num_journal_rows) for m in checked.models
        ]
        assert counts == [(MODEL, 2, 1, 2), (OTHER_MODEL, 1, 0, 0)]
        assert check(path, repair=True) == checked

    def test_damaged_sessions_are_named(self, path: Path) -> None:
        """By model, id and reason."""
        run(path, "UPDATE sessions SET states = zeroblob(16) WHERE position = 3")
        run(path, "UPDATE journal SET rows = zeroblob(length(rows))")
        checked = check(path)
        assert not checked.is_whole
        of_model, of_other = checked.models
        assert [name for name, _ in of_model.damaged_sessions] == ["a", "b"]
        ((name, why),) = of_other.damaged_sessions
        assert (name, "checksum" in why) == ("a", True)

    def test_a_damaged_index_is_told(self, path: Path) -> None:
        """What SQLite finds wrong with the file's structure is in the report."""
        with closing(sqlite3.connect(path)) as connection:
            (page,) = connection.execute(
                "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_sessions_1'"
            ).fetchone()
            (size,) = connection.execute("PRAGMA page_size").fetchone()
        with path.open("r+b") as file:
            file.seek((page - 1) * size)
            file.write(bytes(size))
        checked = check(path)
        assert not checked.is_whole
        assert checked.damage

    @pytest.mark.parametrize("work", [check, compact, migrate])
    def test_a_file_that_is_no_store_is_refused(self, tmp_path: Path, work) -> None:
        """Nothing is made where nothing was, and no other program's file is read."""
        with pytest.raises(StoreRefused, match="there is no such file"):
            work(tmp_path / "none.db")
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "empty.db").touch()
        with pytest.raises(StoreRefused, match="it is empty"):
            work(tmp_path / "empty.db")
        assert (tmp_path / "empty.db").stat().st_size == 0
        run(tmp_path / "other.db", "CREATE TABLE rows (x)")
        with pytest.raises(StoreRefused, match="not a store of sessions"):
            work(tmp_path / "other.db")

    @pytest.mark.parametrize("work", [check, compact, migrate])
    async def test_a_file_that_a_server_has_is_refused(self, path: Path, work) -> None:
        """A running server's file is left alone."""
        store = SqliteStore(path, "process", TTL_S, HandClock())
        await begin(store, ["c"])
        with pytest.raises(StoreRefused, match=f"{path}: another process has it"):
            work(path)
        await store.close()


class TestCompact:
    """`compact`."""

    async def test_room_is_given_back(self, path: Path) -> None:
        """The file of ended sessions is smaller, and the others are as they were."""
        store = SqliteStore(path, "process", TTL_S, HandClock())
        names = [f"s{number}" for number in range(2_000)]
        await store.save(MODEL, [a_truth().record(name) for name in names])
        await store.expire(MODEL, a_truth().used_at_s - 1)
        for name in names:
            await store.delete(MODEL, name)
        before = await truths(store, ["a", "b"])
        await store.close()
        compacted = compact(path)
        assert compacted.num_bytes_after < compacted.num_bytes_before / 2
        store = SqliteStore(path, "process", TTL_S, HandClock())
        assert await truths(store, ["a", "b"]) == before
        await store.close()


class TestMigrate:
    """`migrate`, and files of other formats."""

    def test_a_file_of_this_format_is_left_alone(self, path: Path) -> None:
        """There is nothing to do."""
        content = path.read_bytes()
        assert migrate(path) == Migrated(sqlite_schema.VERSION, sqlite_schema.VERSION)
        assert path.read_bytes() == content

    def test_an_older_file_is_brought_up(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Step by step, each in a transaction of its own; a step that fails leaves the format before it."""
        steps = {
            1: lambda connection: connection.execute("CREATE TABLE one (x)"),
            2: lambda connection: connection.execute("CREATE TABLE nonsense"),
        }
        monkeypatch.setattr("service.store.maintenance._STEPS", steps)
        monkeypatch.setattr(sqlite_schema, "VERSION", 3)
        with pytest.raises(StoreRefused, match="SQLITE_ERROR"):
            migrate(path)
        with pytest.raises(StoreRefused, match="format 2: run `statecast store migrate`"):
            SqliteStore(path, "process", TTL_S, HandClock())
        steps[2] = lambda connection: connection.execute("CREATE TABLE two (x)")
        assert migrate(path) == Migrated(2, 3)
        assert check(path).version == 3

    def test_a_later_format_is_refused(self, path: Path) -> None:
        """A file of a newer program's is not touched."""
        run(path, f"PRAGMA user_version = {sqlite_schema.VERSION + 1}")
        for work in (migrate, check, lambda path: SqliteStore(path, "process", TTL_S, HandClock())):
            with pytest.raises(StoreRefused, match="update it"):
                work(path)
