"""What SQLite's store does beside its contract: a journal that stays short, a memory that stays small."""

import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import InvalidSettings, StoreRefused
from service.store.contract import Record
from service.store.memory import MemoryStore
from service.store.open import open_store
from service.store.sqlite_store import SqliteStore
from tests.contract.store_cases import (
    MODEL,
    NUM_FEATURES,
    OTHER_MODEL,
    TTL_S,
    Entry,
    HandClock,
    a_truth,
    begin,
    changes,
    commit,
    truths,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a file that is not there yet, in a folder that is not there yet."""
    return tmp_path / "data" / "store.db"


def opened(path: Path, **limits: int) -> SqliteStore:
    """A store of few sessions."""
    return SqliteStore(path, "process", TTL_S, HandClock(), **limits)


async def move(store: SqliteStore, entries: list[Entry], model: str = MODEL) -> list[Entry]:
    """A row each; the next entries."""
    rows = [replace(entry, values=[1.0]) for entry in entries]
    committed = await store.commit(model, changes(rows))
    assert list(committed.refused) == []
    return [row.next(token) for row, token in zip(rows, committed.tokens.tolist(), strict=True)]


async def save(store: SqliteStore, entries: list[Entry]) -> None:
    """Checkpoint them."""
    await store.save(MODEL, [entry.was.record(entry.session_id, entry.token) for entry in entries])


def num_batches(path: Path) -> int:
    """Batches in a closed store's journal."""
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM journal").fetchone()[0])


class TestJournal:
    """What is in the journal, and who is behind."""

    async def test_those_longest_behind_are_asked_for_first(self, path: Path) -> None:
        """Beyond the bound `behind` names sessions in the order in which their states began to lack rows."""
        store = opened(path, max_tail_rows=5)
        a, b = await begin(store, ["a", "b"])
        assert await store.behind(MODEL, 10) == []
        await begin(store, ["c"])
        (a,) = await move(store, [a])
        assert await store.behind(MODEL, 10) == [], "4 rows"
        (a,) = await move(store, [a])
        (a,) = await move(store, [a])
        assert await store.behind(MODEL, 10) == ["a", "b", "c"]
        assert await store.behind(MODEL, 2) == ["a", "b"]
        assert await store.behind(OTHER_MODEL, 10) == []
        await save(store, [a])
        assert await store.behind(MODEL, 10) == ["b", "c"]
        await save(store, [b])
        assert await store.behind(MODEL, 10) == [], "the first batch is not needed any more: 4 rows"
        await store.close()

    async def test_a_session_that_is_behind_again_is_asked_for_last(self, path: Path) -> None:
        """A checkpoint puts a session at the end of those behind."""
        store = opened(path, max_tail_rows=0)
        entries = await begin(store, ["a", "b", "c"])
        await save(store, entries[:1])
        await move(store, entries[:1])
        assert await store.behind(MODEL, 10) == ["b", "c", "a"]
        await store.close()

    async def test_a_journal_that_is_not_needed_is_taken_out(self, path: Path) -> None:
        """Batches whose every session is saved beyond them are not in the file any more."""
        store = opened(path)
        entries = await begin(store, ["a", "b"])
        for _ in range(30):
            entries = await move(store, entries)
        await save(store, entries[:1])
        await store.close()
        assert num_batches(path) == 31, "b needs them"
        store = opened(path)
        recovered = await store.recover(MODEL, NUM_FEATURES)
        assert [record.session_id for record in recovered.records] == ["b"]
        entries[1].token = recovered.records[0].token
        await save(store, entries[1:])
        await store.close()
        assert num_batches(path) == 0
        store = opened(path)
        assert list((await store.recover(MODEL, NUM_FEATURES)).records) == []
        assert await truths(store, ["a", "b"]) == [entry.was for entry in entries]
        await store.close()

    async def test_sessions_that_end_let_the_journal_go(self, path: Path) -> None:
        """Deleted, replaced, reset and expired sessions need no rows."""
        store = opened(path)
        entries = await begin(store, ["a", "b", "c", "d"])
        await store.delete(MODEL, "a")
        await store.save(MODEL, [a_truth().record("b")])
        await store.save(MODEL, [replace(entries[2].was, position=0).record("c", entries[2].token)])
        await store.expire(MODEL, entries[3].was.used_at_s + 1)
        await store.close()
        assert num_batches(path) == 0

    async def test_a_late_commit_takes_out_what_a_save_left(self, path: Path) -> None:
        """While commits go on a journal does not grow for long."""
        store = opened(path)
        entries = await begin(store, ["a"])
        for _ in range(50):
            entries = await move(store, entries)
            await save(store, entries)
        assert store._models[MODEL].tail.num_rows == 0
        assert len(store._models[MODEL].tail.done) <= 1
        await store.close()

    async def test_recovery_that_comes_late_recovers_nothing(self, path: Path) -> None:
        """Once sessions have been loaded, what the journal said at the opening may be old: loads say it."""
        store = opened(path)
        entries = await begin(store, ["a", "b"])
        await store.close()
        store = opened(path)
        await store.load(MODEL, ["a"])
        recovered = await store.recover(MODEL, NUM_FEATURES)
        assert (len(recovered.records), len(recovered.tail)) == (0, 0)
        assert await truths(store, ["a", "b"]) == [entry.was for entry in entries]
        await store.close()

    async def test_sessions_of_another_model_file_need_no_rows(self, path: Path) -> None:
        """Their states are saved with the commit: they are not behind."""
        store = opened(path, max_tail_rows=0)
        entries = await begin(store, ["a", "b"])
        rows = [replace(entry, values=[1.0]) for entry in entries]
        assert list((await commit(store, rows, digest="sha256:other")).refused) == []
        assert await store.behind(MODEL, 10) == []
        await store.close()
        assert num_batches(path) == 0

    async def test_models_have_journals_of_their_own(self, path: Path) -> None:
        """One model's batches neither end up in another's recovery nor stay because of them."""
        store = opened(path)
        entries = await begin(store, ["a"])
        await store.commit(OTHER_MODEL, changes([Entry("a", [7.0])]))
        await move(store, entries)
        await store.close()
        store = opened(path)
        recovered = await store.recover(OTHER_MODEL, NUM_FEATURES)
        assert [batch.rows.tolist() for batch in recovered.tail] == [[[7.0, 7.0]]]
        assert len((await store.recover(MODEL, NUM_FEATURES)).tail) == 2
        await store.close()


class TestMemory:
    """What the store's thread remembers."""

    async def test_idle_sessions_are_forgotten_and_come_back(self, path: Path) -> None:
        """Beyond `max_known` an up-to-date session's token is not remembered: it is loaded anew, whole."""
        store = opened(path, max_known=10)
        names = [f"s{number:02}" for number in range(40)]
        tokens = await store.save(MODEL, [a_truth().record(name) for name in names])
        behind = await begin(store, ["behind"])
        await store.load(MODEL, ["nobody"])
        known = store._models[MODEL].known
        assert len(known) <= 10
        refused = [
            name
            for name, token in zip(names, tokens, strict=True)
            if (await commit(store, [Entry(name, [1.0], a_truth(), token)])).refused
        ]
        assert len(refused) >= 30
        for name in refused:
            (record,) = await store.load(MODEL, [name])
            assert isinstance(record, Record)
            assert list((await commit(store, [Entry(name, [1.0], a_truth(), record.token)])).refused) == []
        await move(store, behind)
        assert {each.position for each in await truths(store, names)} == {a_truth().position + 1}
        await store.close()

    async def test_slots_are_used_again(self, path: Path) -> None:
        """Sessions that come and go leave nothing behind."""
        store = opened(path)
        for number in range(50):
            await begin(store, [f"s{number}"])
            await store.delete(MODEL, f"s{number}")
        assert len(store._models[MODEL].known.ids) == 1
        await store.close()

    async def test_a_memory_store_forgets_ids_that_ended(self) -> None:
        """The list of ids does not grow where nobody asks for a page."""
        store = MemoryStore(TTL_S, HandClock())
        for number in range(1_000):
            await store.save(MODEL, [a_truth().record(f"s{number}")])
            await store.delete(MODEL, f"s{number}")
        assert len(store._shelves[MODEL].ids) < 100

    async def test_a_memory_store_takes_no_commits(self) -> None:
        """Nothing is committed where nothing is kept."""
        with pytest.raises(NotImplementedError):
            await commit(MemoryStore(TTL_S, HandClock()), [Entry("a", [1.0])])


class TestThread:
    """Where the work is done."""

    async def test_the_event_loop_is_not_held(self, path: Path) -> None:
        """States are read on the caller's thread, and everything else is done on the store's."""
        store = opened(path)
        (entry,) = await begin(store, ["a"])
        asked, worked = list[str](), set[str]()
        connection = store._file._connection
        assert connection is not None
        connection.set_trace_callback(lambda _: worked.add(threading.current_thread().name))
        batch = changes([replace(entry, values=[1.0])], digest="sha256:other")
        read = batch.states
        batch = replace(batch, states=lambda: asked.append(threading.current_thread().name) or read())
        assert list((await store.commit(MODEL, batch)).refused) == []
        await truths(store, ["a"])
        assert asked == [threading.current_thread().name]
        assert worked == {"store_0"}
        await store.close()


class TestOpen:
    """`open_store`."""

    async def test_a_url_names_a_store(self, path: Path) -> None:
        """A kind of store by its scheme, with what is told of it."""
        told = {"durability": "power", "ttl_s": TTL_S, "clock": HandClock(), "journal_rows": 7}
        memory = open_store("memory:", **told)
        assert not memory.is_durable
        stored = open_store(f"sqlite:{path}", **told)
        assert stored.is_durable
        assert isinstance(stored, SqliteStore)
        await begin(stored, ["a"])
        await stored.close()
        assert num_batches(path) == 1

    @pytest.mark.parametrize("url", ["", "sqlite", "sqlite:", "memory:x", "mysql://host", "/data/store.db"])
    def test_what_names_none_is_refused(self, url: str) -> None:
        """The kinds there are are named."""
        with pytest.raises(InvalidSettings, match="sqlite:"):
            open_store(url, durability="process", ttl_s=TTL_S, journal_rows=7)

    def test_a_file_that_cannot_be_had_is_refused(self, tmp_path: Path) -> None:
        """The file is named."""
        (tmp_path / "folder").write_text("a file where a folder should be")
        with pytest.raises(StoreRefused, match="folder"):
            open_store(f"sqlite:{tmp_path}/folder/store.db", durability="process", ttl_s=1.0, journal_rows=7)
