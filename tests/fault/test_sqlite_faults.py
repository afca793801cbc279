"""Processes that are killed, disks that fill, files that are taken away: no acknowledged row is lost."""

import asyncio
import contextlib
import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.errors import StoreRefused, StoreUnavailable
from service.store.contract import Record, SessionStore
from service.store.sqlite_file import Durability
from service.store.sqlite_store import SqliteStore
from tests.contract.store_cases import (
    MODEL,
    TTL_S,
    Entry,
    HandClock,
    begin,
    commit,
    load_one,
    truth_of,
    truths,
)
from tests.fault.sqlite_writer import NAMES, total

ROOT = Path(__file__).parents[2]
_NUM_KILLS = 6


def opened(path: Path, durability: Durability = "process") -> SqliteStore:
    """A store that does not wait for others."""
    return SqliteStore(path, durability, TTL_S, HandClock(), lock_timeout_s=0.1)


@contextlib.contextmanager
def writer(path: Path, durability: str, num_batches: int, *limit: int) -> Iterator[subprocess.Popen[str]]:
    """A process of `sqlite_writer`; killed at the end."""
    arguments = [str(path), durability, str(num_batches), *map(str, limit)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fault.sqlite_writer", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def check(path: Path, acknowledged: dict[str, int]) -> None:
    """Every session stands at its acknowledged position or beyond, with the state of exactly its rows."""

    async def check() -> None:
        store = SqliteStore(path, "process", 1e9, HandClock())
        loaded = await store.load(MODEL, NAMES)
        await store.close()
        for name, record in zip(NAMES, loaded, strict=True):
            if name not in acknowledged and record is None:
                continue
            assert isinstance(record, Record), (name, record)
            rows = [] if record.tail is None else record.tail.rows[:, 0].tolist()
            position = record.position if record.tail is None else record.tail.position
            assert position >= acknowledged.get(name, 0), name
            assert rows == list(range(record.position, position)), name
            if record.states:
                truth = truth_of(Record(name, "", record.position, 0, record.states))
                assert (truth.total, truth.num_steps) == (total(record.position), record.position)

    asyncio.run(check())


class TestKill:
    """`kill -9`."""

    @pytest.mark.parametrize("durability", ["process", "power"])
    def test_acknowledged_rows_outlive_kills(self, tmp_path: Path, durability: str) -> None:
        """Killed at random moments, again and again, a store opens by itself with every row once."""
        path, acknowledged = tmp_path / "store.db", dict[str, int]()
        moments = random.Random(durability)
        for _ in range(_NUM_KILLS):
            with writer(path, durability, 10**9) as process:
                assert process.stdout is not None
                # Kept lines are not yet read when it dies: they were acknowledged too.
                for _ in range(moments.randint(1, 150)):
                    acknowledged |= json.loads(process.stdout.readline())
                process.kill()
                for line in process.stdout:
                    with contextlib.suppress(json.JSONDecodeError):
                        acknowledged |= json.loads(line)
            check(path, acknowledged)
        assert len(acknowledged) == len(NAMES)


class TestFull:
    """A disk that is full."""

    def test_a_file_that_may_not_grow(self, tmp_path: Path) -> None:
        """Where writing fails the store says so, keeps what it has, and goes on when it can."""
        path, acknowledged, refusals = tmp_path / "store.db", dict[str, int](), list[str]()
        with writer(path, "process", 200, 200_000) as process:
            assert process.stdout is not None
            told = [json.loads(line) for line in process.stdout]
            assert process.wait() == 0
        for answer in told:
            if "refused" in answer:
                refusals.append(answer["refused"])
            else:
                acknowledged |= answer
        assert len(refusals) == 3
        assert all(str(path) in refusal and "SQLITE_" in refusal for refusal in refusals)
        assert "refused" not in told[-1]
        check(path, acknowledged)

    @pytest.mark.parametrize("durability", ["process", "power"])
    async def test_a_full_disk(self, small_disk: Path, durability: Durability) -> None:
        """No row that was acknowledged is lost, none that was not is there; loads go on meanwhile."""
        store = opened(small_disk / "store.db", durability)
        entries = await begin(store, [f"s{number}" for number in range(50)], 0.0)
        entries, refusal = await fill(store, entries)
        assert "the disk is full" in refusal
        ballast = small_disk / "ballast"
        assert await truths(store, [entry.session_id for entry in entries]) == [
            entry.was for entry in entries
        ]
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            await store.save(MODEL, [entries[0].was.record("new")])
        ballast.unlink()
        entries = await go_on(store, entries)
        await store.close()
        store = opened(small_disk / "store.db", durability)
        assert await truths(store, [entry.session_id for entry in entries]) == [
            entry.was for entry in entries
        ]
        await store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB, half of it taken by the file `ballast`."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    (folder / "ballast").write_bytes(bytes(2 * 2**20))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def go_on(store: SessionStore, entries: list[Entry]) -> list[Entry]:
    """Commit a row each; the next entries."""
    rows = [Entry(entry.session_id, [1.0], entry.was, entry.token) for entry in entries]
    committed = await commit(store, rows)
    assert list(committed.refused) == []
    return [row.next(token) for row, token in zip(rows, committed.tokens.tolist(), strict=True)]


async def fill(store: SessionStore, entries: list[Entry]) -> tuple[list[Entry], str]:
    """Commit until the store refuses; what was committed last, and what it said."""
    for _ in range(10_000):
        try:
            entries = await go_on(store, entries)
        except StoreUnavailable as error:
            return entries, str(error)
    raise AssertionError("it never got full")


class TestOneProcess:
    """A file is one process's."""

    async def test_another_process_is_refused(self, tmp_path: Path) -> None:
        """Two servers on one file are refused, by the file's name, and it is free once the first is dead."""
        path = tmp_path / "store.db"
        with writer(path, "process", 10**9) as process:
            assert process.stdout is not None
            process.stdout.readline()
            with pytest.raises(StoreRefused, match=f"{path}: another process has it"):
                opened(path)
            process.kill()
            process.wait()
            await opened(path).close()

    async def test_a_second_store_of_the_same_process_is_refused(self, tmp_path: Path) -> None:
        """Nor may one process open a file twice."""
        first = opened(tmp_path / "store.db")
        with pytest.raises(StoreRefused, match="another process has it"):
            opened(tmp_path / "store.db")
        await first.close()


class TestFile:
    """Files that are not there, not ours, or not there any more."""

    def test_what_is_not_a_store_is_refused(self, tmp_path: Path) -> None:
        """A folder, a text, another program's database: none is touched."""
        (tmp_path / "folder").mkdir()
        (tmp_path / "text").write_text("rows " * 1000)
        with contextlib.closing(sqlite3.connect(tmp_path / "other")) as other:
            other.execute("CREATE TABLE rows (x)")
        before = (tmp_path / "text").read_bytes()
        for name, reason in {
            "folder": "it cannot be opened",
            "text": "not a SQLite database",
            "other": "not a store of sessions",
        }.items():
            with pytest.raises(StoreRefused, match=f"{tmp_path / name}: .*{reason}"):
                opened(tmp_path / name)
        assert (tmp_path / "text").read_bytes() == before

    async def test_a_file_that_was_taken_away_comes_back(self, tmp_path: Path) -> None:
        """While the file is gone nothing is acknowledged and none is made anew; then all is as it was."""
        path, away = tmp_path / "store.db", tmp_path / "away.db"
        store = opened(path)
        entries = await go_on(store, await begin(store, ["a", "b"]))
        path.rename(away)
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match=str(path)):
                await go_on(store, entries)
        assert not path.exists()
        away.rename(path)
        assert list((await commit(store, entries)).refused) == [0, 1], "tokens of before are not trusted"
        assert truth_of(await load_one(store, "a")) == entries[0].was
        entries[1].token = (await load_one(store, "b")).token
        (later,) = await go_on(store, entries[1:])
        await store.close()
        store = opened(path)
        assert await truths(store, ["a", "b"]) == [entries[0].was, later.was]
        await store.close()

    async def test_a_log_that_was_taken_away_loses_nothing(self, tmp_path: Path) -> None:
        """Somebody tidies up beside a running server: what the log held is kept."""
        store = opened(tmp_path / "store.db")
        entries = await go_on(store, await begin(store, ["a", "b"]))
        (tmp_path / "store.db-wal").unlink()
        assert await truths(store, ["a", "b"]) == [entry.was for entry in entries]
        for entry in entries:
            entry.token = (await load_one(store, entry.session_id)).token
        entries = await go_on(store, entries)
        await store.close()
        store = opened(tmp_path / "store.db")
        assert await truths(store, ["a", "b"]) == [entry.was for entry in entries]
        await store.close()

    async def test_a_file_that_cannot_be_written_is_refused(self, small_disk: Path) -> None:
        """A store on a disk that is mounted for reading does not start."""
        await opened(small_disk / "store.db").close()
        await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", str(small_disk)], check=True)
        with pytest.raises(StoreRefused, match=f"{small_disk / 'store.db'}: it cannot be written"):
            opened(small_disk / "store.db")

    async def test_a_closed_store_says_so(self, tmp_path: Path) -> None:
        """Calls after `close` are refused."""
        store = opened(tmp_path / "store.db")
        await store.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.load(MODEL, ["a"])
