"""Store files that are not as they were written: what is damaged is refused, by name, and nothing else."""

import asyncio
import contextlib
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.errors import StoreRefused, StoreUnavailable
from service.store.contract import NO_TOKEN, Record, StoreFault
from service.store.maintenance import check
from service.store.sqlite_store import SqliteStore
from tests.contract.store_cases import (
    MODEL,
    NUM_FEATURES,
    OTHER_MODEL,
    TTL_S,
    Entry,
    HandClock,
    Truth,
    begin,
    caught_up,
    commit,
    truth_of,
    truths,
)

# Batches of the journal that `written` leaves: 1 opens all, 2 moves a and b, 3 moves b and c, 4 moves d.
BATCHES = {1: "abcd", 2: "ab", 3: "bc", 4: "d"}


def opened(path: Path) -> SqliteStore:
    """A store that does not wait for others."""
    return SqliteStore(path, "process", TTL_S, HandClock(), lock_timeout_s=0.1)


async def written(path: Path) -> dict[str, Truth]:
    """A store of four sessions, by BATCHES, that was closed; where they stand. The states of d are saved."""
    store = opened(path)
    held = {entry.session_id: entry for entry in await begin(store, list("abcd"))}
    for number in (2, 3, 4):
        rows = [replace(held[name], values=[float(number)] * 2) for name in BATCHES[number]]
        committed = await commit(store, rows)
        for row, token in zip(rows, committed.tokens.tolist(), strict=True):
            held[row.session_id] = row.next(token)
    (held["d"].token,) = await store.save(MODEL, [held["d"].was.record("d", held["d"].token)])
    await store.close()
    return {name: entry.was for name, entry in held.items()}


def change(path: Path, statement: str, *values: object) -> None:
    """Change a closed store's file behind its back."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement, values).rowcount == 1


def harm(path: Path, column: str, number: int, harmed: Callable[[bytes], bytes]) -> None:
    """Change a blob of a batch of the journal. MODEL is the file's first model."""
    full_number = 1 << 40 | number
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (blob,) = connection.execute(
            f"SELECT {column} FROM journal WHERE number = ?", (full_number,)
        ).fetchone()
    change(path, f"UPDATE journal SET {column} = ? WHERE number = ?", harmed(blob), full_number)


def flipped(blob: bytes) -> bytes:
    """One bit of it is another."""
    at = len(blob) // 2
    return blob[:at] + bytes([blob[at] ^ 4]) + blob[at + 1 :]


def cut(blob: bytes) -> bytes:
    """Its end is missing."""
    return blob[: len(blob) * 2 // 3]


async def found(path: Path) -> dict[str, Truth | str]:
    """Where sessions stand after a restart, or their faults."""
    store = opened(path)
    stands = dict[str, Truth | str](caught_up(await store.recover(MODEL, NUM_FEATURES)))
    for name, record in zip("abcd", await store.load(MODEL, list("abcd")), strict=True):
        if isinstance(record, StoreFault):
            assert name not in stands, "recovered and refused"
            assert record.session_id == name
            stands[name] = record.reason
        else:
            assert stands.setdefault(name, truth_of(record)) == truth_of(record)
    await store.close()
    return stands


class TestJournal:
    """Batches of the journal."""

    @pytest.mark.parametrize("harmed", [flipped, cut, lambda _: b""])
    async def test_the_last_batch_is_damaged(self, tmp_path: Path, harmed: Callable[[bytes], bytes]) -> None:
        """Its sessions are refused, and say up to where they are good; all before it is kept."""
        path = tmp_path / "store.db"
        truth = await written(path)
        harm(path, "rows", 3, harmed)
        stands = await found(path)
        assert (stands["a"], stands["d"]) == (truth["a"], truth["d"])
        assert "rows after position 3 are lost: batch 3" in str(stands["b"])
        assert "rows after position 1 are lost: batch 3" in str(stands["c"])

    async def test_a_batch_in_the_middle_is_damaged(self, tmp_path: Path) -> None:
        """Whoever had a row in it is refused, whether or not more rows came; the others go on."""
        path = tmp_path / "store.db"
        truth = await written(path)
        harm(path, "rows", 2, flipped)
        stands = await found(path)
        assert (stands["c"], stands["d"]) == (truth["c"], truth["d"])
        assert "rows after position 1 are lost: batch 2" in str(stands["a"])
        assert "rows after position 1 are lost: batch 2" in str(stands["b"])

    async def test_states_beyond_a_damaged_batch_do_not_need_it(self, tmp_path: Path) -> None:
        """A session whose saved states have a batch's rows is not refused for its damage."""
        path = tmp_path / "store.db"
        truth = await written(path)
        harm(path, "rows", 4, flipped)
        assert await found(path) == truth

    async def test_damaged_names_lose_nothing(self, tmp_path: Path) -> None:
        """The names are there twice: the rows' own are enough."""
        path = tmp_path / "store.db"
        truth = await written(path)
        for number in BATCHES:
            harm(path, "names", number, flipped)
        assert await found(path) == truth

    async def test_a_fault_is_kept(self, tmp_path: Path) -> None:
        """A session that has lost rows stays refused after its batch has left the journal."""
        path = tmp_path / "store.db"
        truth = await written(path)
        harm(path, "rows", 2, flipped)
        await found(path)
        store = opened(path)
        records = [truth[name].record(name) for name in "cd"]
        loaded = await store.load(MODEL, ["c", "d"])
        tokens = [each.token for each in loaded if isinstance(each, Record)]
        await store.save(
            MODEL, [replace(record, token=token) for record, token in zip(records, tokens, strict=True)]
        )
        await store.close()
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("SELECT count(*) FROM journal").fetchone() == (0,)
        stands = await found(path)
        assert "lost" in str(stands["a"])
        assert "lost" in str(stands["b"])
        assert (stands["c"], stands["d"]) == (truth["c"], truth["d"])

    async def test_a_refused_session_is_replaced_or_ended(self, tmp_path: Path) -> None:
        """A fault ends with its session: what takes its place is well."""
        path = tmp_path / "store.db"
        await written(path)
        harm(path, "rows", 2, flipped)
        await found(path)
        store = opened(path)
        assert list((await commit(store, [Entry("a", [1.0]), Entry("b", [1.0])])).refused) == [0, 1]
        await store.save(MODEL, [Truth(7, 5, 1.0, 7).record("a")])
        assert await store.delete(MODEL, "b")
        assert list((await commit(store, [Entry("b", [4.0])])).refused) == []
        assert [each.position for each in await truths(store, ["a", "b"])] == [7, 1]
        await store.close()
        stands = await found(path)
        assert isinstance(stands["a"], Truth)
        assert isinstance(stands["b"], Truth)

    @pytest.mark.parametrize("is_missing", [False, True])
    async def test_nobody_can_tell_whose_rows_are_lost(self, tmp_path: Path, is_missing: bool) -> None:
        """The model is unavailable, by the batch's number, until somebody gives the batch up."""
        path = tmp_path / "store.db"
        truth = await written(path)
        if is_missing:
            change(path, "DELETE FROM journal WHERE number = ?", 1 << 40 | 2)
        else:
            harm(path, "rows", 2, cut)
            harm(path, "names", 2, cut)
        store = opened(path)
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match=r"batch 2 of the journal .* check --repair"):
                await store.load(MODEL, ["d"])
        assert await store.load(OTHER_MODEL, ["d"]) == [None]
        await store.close()
        assert ["batch 2" in said for said in check(path).models[0].damaged_batches] == [True]
        assert check(path, repair=True).num_repaired == 1
        stands = await found(path)
        assert (stands["c"], stands["d"]) == (truth["c"], truth["d"])
        assert "it goes on from position 3" in str(stands["b"])
        # Nothing of a's came after the batch: nobody can know.
        assert stands["a"] == Entry("a", [1.0], last_time_us=60_000_000).then(truth["a"].used_at_s)

    async def test_a_batch_found_damaged_by_a_load(self, tmp_path: Path) -> None:
        """Damage that comes while the file is open is found where the session is loaded."""
        path = tmp_path / "store.db"
        store = SqliteStore(path, "process", TTL_S, HandClock(), max_tail_rows=0)
        (entry, other) = await begin(store, ["a", "b"])
        await store.save(MODEL, [other.was.record("b", other.token)])
        connection = store._file._connection
        assert connection is not None
        connection.execute("UPDATE journal SET rows = zeroblob(length(rows))")
        loaded = await store.load(MODEL, ["a", "b"])
        assert isinstance(loaded[0], StoreFault)
        assert truth_of(loaded[1]) == other.was
        assert await store.behind(MODEL, 10) == [], "nobody can save it"
        await store.close()
        store = opened(path)
        assert isinstance((await store.load(MODEL, ["a"]))[0], StoreFault)
        assert list((await commit(store, [replace(entry, token=NO_TOKEN)])).refused) == [0]
        await store.close()


class TestStates:
    """Saved states."""

    @pytest.mark.parametrize("column", ["states", "position", "digest", "used_at_s", "last_time_us"])
    async def test_a_saved_session_is_damaged(self, tmp_path: Path, column: str) -> None:
        """Whatever of a session is not as it was saved, that session is refused and no other."""
        path = tmp_path / "store.db"
        truth = await written(path)
        change(path, f"UPDATE sessions SET {column} = substr({column}, 1, 3) || 'x' WHERE id = ?", b"d")
        stands = await found(path)
        assert {name: stands[name] for name in "abc"} == {name: truth[name] for name in "abc"}
        assert "checksum" in str(stands["d"])


class TestLog:
    """The write-ahead log, cut or changed after a crash."""

    @pytest.mark.parametrize(
        "harmed",
        [
            pytest.param(lambda log: log[:-9000], id="cut"),
            pytest.param(lambda log: log[:-6000] + flipped(log[-6000:]), id="flipped"),
            pytest.param(lambda log: log[:9000], id="cut-short"),
            pytest.param(lambda log: b"", id="gone"),
        ],
    )
    async def test_a_damaged_log_is_told(self, tmp_path: Path, harmed: Callable[[bytes], bytes]) -> None:
        """What the log had before its damage is kept, and how much is gone is said, once."""
        crashed = tmp_path / "crashed.db"
        await crash(tmp_path / "store.db", crashed)
        change_file(Path(f"{crashed}-wal"), harmed)
        (report,) = check(crashed).models
        assert report.num_lost_batches > 0
        for expected in (["error"], []):
            store = opened(crashed)
            with capture_logs() as logs:
                stands = caught_up(await store.recover(MODEL, NUM_FEATURES))
            told = [line for line in logs if "acknowledged batches are gone" in line["event"]]
            assert [line["log_level"] for line in told] == expected
            assert stands["a"] == stands["b"]
            assert stands["a"].position == 10 - report.num_lost_batches
            assert stands["a"].total == NUM_FEATURES * stands["a"].position
            await store.close()

    async def test_a_whole_log_says_nothing(self, tmp_path: Path) -> None:
        """After a crash that lost nothing there is nothing to tell."""
        crashed = tmp_path / "crashed.db"
        await crash(tmp_path / "store.db", crashed)
        assert check(crashed).is_whole
        store = opened(crashed)
        with capture_logs() as logs:
            stands = caught_up(await store.recover(MODEL, NUM_FEATURES))
        assert (stands["a"].position, logs) == (10, [])
        await store.close()


async def crash(path: Path, crashed: Path) -> None:
    """Two sessions of ten rows, the first of which is not in the log; the files as a crash leaves them."""
    store = opened(path)
    await begin(store, ["a", "b"])
    await store.close()
    store = opened(path)
    loaded = await store.load(MODEL, ["a", "b"])
    entries = [
        Entry(each.session_id, [], truth_of(each), each.token) for each in loaded if isinstance(each, Record)
    ]
    for _ in range(9):
        rows = [replace(entry, values=[1.0]) for entry in entries]
        tokens = (await commit(store, rows)).tokens.tolist()
        entries = [row.next(token) for row, token in zip(rows, tokens, strict=True)]
    for suffix in ("", "-wal", "-mark"):
        shutil.copy(f"{path}{suffix}", f"{crashed}{suffix}")
    await store.close()


def change_file(path: Path, harmed: Callable[[bytes], bytes]) -> None:
    """Change a file's content."""
    path.write_bytes(harmed(path.read_bytes()))


class TestPages:
    """Pages of the file, overwritten."""

    def test_any_page_may_be_damaged(self, tmp_path: Path) -> None:
        """Whichever page is, each session is whole, or refused, or the store is: none is silently another."""
        path = tmp_path / "store.db"
        names = [f"meter-{number:03}" for number in range(120)]
        truth = asyncio.run(_large(path, names))
        num_pages = path.stat().st_size // 4096
        assert num_pages > 30
        told = {"refused": 0, "unavailable": 0, "fault": 0, "whole": 0}
        chance = random.Random(4)
        for page in range(num_pages):
            harmed = tmp_path / "harmed.db"
            content = bytearray(path.read_bytes())
            content[page * 4096 : (page + 1) * 4096] = chance.choice([bytes(4096), chance.randbytes(4096)])
            harmed.write_bytes(content)
            before = dict(told)
            asyncio.run(_tell(harmed, truth, told))
            if any(told[what] > before[what] for what in ("refused", "unavailable", "fault")):
                assert check_says_something(harmed)
            for left in tmp_path.glob("harmed.db*"):
                left.unlink()
        assert all(told.values()), told


def check_says_something(path: Path) -> bool:
    """Whether `check` finds the file damaged, or refuses it."""
    try:
        return not check(path).is_whole
    except (StoreRefused, StoreUnavailable):
        return True


async def _large(path: Path, names: list[str]) -> dict[str, Truth]:
    """Many sessions, each with saved states that need room, half of them with rows in the journal."""
    store = opened(path)
    entries = await begin(store, names)
    padding = bytes(1000)
    records = [replace(entry.was.record(entry.session_id, entry.token), recent=padding) for entry in entries]
    await store.save(MODEL, records)
    for _ in range(12):
        rows = [replace(entry, values=[2.0]) for entry in entries[::2]]
        tokens = (await commit(store, rows)).tokens.tolist()
        entries[::2] = [row.next(token) for row, token in zip(rows, tokens, strict=True)]
    await store.close()
    return {entry.session_id: entry.was for entry in entries}


async def _tell(path: Path, truth: dict[str, Truth], told: dict[str, int]) -> None:
    try:
        store = opened(path)
    except StoreRefused as error:
        assert str(path) in str(error)
        told["refused"] += 1
        return
    try:
        stands = caught_up(await store.recover(MODEL, NUM_FEATURES))
        assert all(truth[name] == stand for name, stand in stands.items())
        for name, record in zip(truth, await store.load(MODEL, list(truth)), strict=True):
            if isinstance(record, StoreFault):
                told["fault"] += 1
            else:
                assert truth_of(record) == truth[name]
                told["whole"] += 1
    except StoreUnavailable:
        told["unavailable"] += 1
    finally:
        await store.close()
