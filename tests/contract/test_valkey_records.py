"""What Valkey keeps of a session: its recent rows, and how damage to a record is told."""

from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from service.store.contract import Record, StoreFault
from service.store.valkey_store import ValkeyStore
from tests.contract.store_cases import (
    MODEL,
    NUM_FEATURES,
    START_S,
    Entry,
    HandClock,
    Truth,
    commit,
    truth_of,
)
from tests.contract.valkey_backing import ValkeyBacking
from tests.contract.valkey_cases import MANY, VALKEY, Client, begin, go_on, record_keys, truths

pytestmark = pytest.mark.parametrize("kind", VALKEY, ids=lambda kind: kind.name, indirect=True)


class TestRecent:
    """Rows that are kept to run again through another model."""

    @pytest.fixture
    async def store(self, backing: ValkeyBacking, clock: HandClock) -> AsyncIterator[ValkeyStore]:
        """It keeps four rows."""
        opened = replace(backing, num_recent_rows=4).open(clock)
        await opened.recover(MODEL, NUM_FEATURES)
        yield opened
        await opened.close()

    async def recent(self, store: ValkeyStore, session_id: str) -> list[float]:
        """The first feature of the rows kept."""
        record = await store.peek(MODEL, session_id)
        assert isinstance(record, Record)
        return np.frombuffer(record.recent, "<f8").reshape(-1, NUM_FEATURES)[:, 0].tolist()

    async def test_the_last_rows_come_back(self, store: ValkeyStore) -> None:
        """However rows are cut into batches, the last four are kept, of each session its own."""
        sent: dict[str, list[float]] = {name: [] for name in ["a", "b", "c"]}
        held = [Entry(name, [100.0]) for name in sent]
        for number in range(12):
            values = {"a": [float(number)], "b": [number + 0.5] * (number % 3), "c": np.arange(number % 7.0)}
            entries = [replace(entry, values=list(values[entry.session_id])) for entry in held]
            committed = await commit(store, entries)
            assert list(committed.refused) == []
            held = [go_on(e, t) for e, t in zip(entries, committed.tokens.tolist(), strict=True)]
            for entry in entries:
                sent[entry.session_id] += entry.values
                assert await self.recent(store, entry.session_id) == sent[entry.session_id][-4:]

    async def test_old_rows_are_let_go(
        self, store: ValkeyStore, backing: ValkeyBacking, client: Client
    ) -> None:
        """However long a session lives, no more than twice the rows asked for take room."""
        (entry,) = await begin(store, ["a"])
        for number in range(50):
            committed = await commit(store, [entry])
            entry = go_on(entry, entry.token, float(number))
            assert list(committed.refused) == []
        (key,) = client.keys(f"{backing.namespace}-recent:*")
        assert client.strlen(key) <= 2 * 4 * NUM_FEATURES * 8
        assert client.pttl(key) > 0

    async def test_a_successor_begins_with_none(
        self, store: ValkeyStore, backing: ValkeyBacking, client: Client
    ) -> None:
        """Rows of a session that ended are not those of the next one of its id."""
        await begin(store, ["a"])
        client.delete(record_keys(client, backing)["a"])
        await commit(store, [Entry("a", [7.0])])
        assert await self.recent(store, "a") == [7.0]

    async def test_saved_rows_are_followed_by_committed_ones(self, store: ValkeyStore) -> None:
        """What `save` brought is kept on, and replaced by the next `save`."""
        rows = np.repeat([[1.0], [2.0], [3.0]], NUM_FEATURES, axis=1).tobytes()
        (token,) = await store.save(MODEL, [replace(Truth(3).record("a"), recent=rows)])
        assert await self.recent(store, "a") == [1.0, 2.0, 3.0]
        await commit(store, [Entry("a", [4.0, 5.0], was=Truth(3), token=token)])
        assert await self.recent(store, "a") == [2.0, 3.0, 4.0, 5.0]
        await store.save(MODEL, [Truth(5).record("a", token)])
        assert await self.recent(store, "a") == []

    async def test_without_keeping_commits_leave_no_old_rows(
        self, store: ValkeyStore, backing: ValkeyBacking, clock: HandClock
    ) -> None:
        """A store that keeps none does not leave rows that lack the last ones, now or later."""
        (entry,) = await begin(store, ["a"])
        other = replace(backing, num_recent_rows=0).open(clock)
        await commit(other, [entry])
        assert await self.recent(other, "a") == await self.recent(store, "a") == []
        await other.close()
        await commit(store, [go_on(entry, entry.token, 9.0)])
        assert await self.recent(store, "a") == [9.0]


class TestDamage:
    """Records that are not as they were written."""

    async def test_a_damaged_record_is_a_fault_and_its_neighbours_load(
        self, store: ValkeyStore, backing: ValkeyBacking, client: Client
    ) -> None:
        """Each kind of damage is told of its session; nothing is written over what is not ours."""
        ids = ["cut", "empty", "flipped", "foreign", "list", "well"]
        await begin(store, ids)
        keys = record_keys(client, backing)
        client.set(keys["cut"], client.get(keys["cut"])[:60])
        client.set(keys["empty"], b"")
        client.setrange(keys["flipped"], 150, b"\x99")
        client.set(keys["foreign"], b"somebody else's, and longer than the head of a record of ours is")
        client.delete(keys["list"])
        client.rpush(keys["list"], "x")
        foreign = client.get(keys["foreign"])
        loaded = dict(zip(ids, await store.load(MODEL, ids), strict=True))
        assert truth_of(loaded.pop("well")) == Entry("well", [1.0]).then(START_S)
        for session_id, fault in loaded.items():
            assert isinstance(fault, StoreFault), session_id
            assert fault.session_id == session_id
        assert client.get(keys["foreign"]) == foreign
        assert client.type(keys["list"]) == b"list"

    async def test_a_wrong_key_refuses_its_session_alone(
        self, store: ValkeyStore, backing: ValkeyBacking, client: Client
    ) -> None:
        """A key of another type among a batch's: that session is refused, the others are stored."""
        held = await begin(store, MANY[:20])
        key = record_keys(client, backing)[MANY[5]]
        client.delete(key)
        client.hset(key, "a", "b")
        assert list((await commit(store, held)).refused) == [5]
        others = [name for name in MANY[:20] if name != MANY[5]]
        assert await truths(store, others) == [e.then(START_S) for e in held if e.session_id in others]
        assert client.type(key) == b"hash"
        await store.save(MODEL, [Truth(1).record(MANY[5])])
        assert await truths(store, [MANY[5]]) == [Truth(1)]
