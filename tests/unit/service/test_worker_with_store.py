"""The session worker over a store: loading, committing, spilling, losing and upgrading sessions."""

import asyncio
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from models.frequency import Frequency
from service.engine.arena import Arena
from service.engine.model import ServedModel
from service.engine.runner import Reply
from service.errors import (
    DamagedState,
    ForeignState,
    SessionExists,
    StoreUnavailable,
    TokenLost,
    TooManySessions,
    UnknownSession,
    UpgradeRefused,
)
from service.sessions.info import SessionEvent
from service.sessions.limits import Limits
from service.sessions.plan import StepLimits
from service.sessions.upkeep import Upkeep
from service.sessions.versions import UpgradePolicy
from service.sessions.worker import SessionWorker
from service.store.contract import StoreFault
from service.store.memory import MemoryStore
from tests.durable_store import DurableStore
from tests.fakes import CountingRunner, HandClock
from tests.unit.service.test_worker import MANIFEST, STATES, Bench

TTL_S = 100.0


def model(version=1, capacity=8, **manifest):
    """A version whose state is the sum of its rows."""
    digest = f"sha256:{version:064d}"
    described = MANIFEST.model_copy(update={"digest": digest, **manifest})
    runner = CountingRunner(Arena(STATES, capacity))
    return ServedModel("sum", version, described, Frequency.parse("h"), capacity, runner)


class StoreBench(Bench):
    """A worker over a store."""

    def __init__(
        self, executor, store, *, capacity=8, max_sessions=1000, num_recent_rows=0, served=None, fetch=None
    ):
        self.clock = HandClock()
        served = served or model(1, capacity)
        self.runner = served.runner
        limits = Limits(TTL_S, max_sessions, 100, 10_000, 100, StepLimits(5, 5_000), num_recent_rows)
        self.worker = SessionWorker(served, limits, self.clock, executor, store, fetch)
        self.frames = []
        self.events = []
        self.has_ended = False
        self.worker.admin.subscribe(lambda event, info: self.events.append((event, info.session_id)))

    async def position(self, session_id):
        """Rows it has consumed."""
        return (await self.worker.admin.read(session_id)).record.position


@asynccontextmanager
async def serving(store, **options):
    with ThreadPoolExecutor(1) as executor:
        made = StoreBench(executor, store, **options)
        task = made.task = asyncio.create_task(made.worker.run())
        try:
            yield made
            made.check()
            assert not made.worker.table.num_waiting.any()
            assert made.has_ended == task.done()
        finally:
            made.runner.gate.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


STORES = {
    "memory": lambda: MemoryStore(TTL_S, lambda: 1_800_000_000.0),
    "journalling": lambda: DurableStore(is_shared=False),
    "shared": DurableStore,
}


@pytest.mark.parametrize("kind", STORES)
async def test_sessions_beyond_memory_go_to_the_store_and_come_back(kind):
    """With room for 4 of 20 sessions in memory every row counts once, and nobody is refused."""
    async with serving(STORES[kind](), capacity=4) as made:
        for value in (1, 10, 100):
            for number in range(20):
                applied = await made.send(f"s{number}", value + number)
                assert applied.forecasts[0, 0, 0] == {1: 1, 10: 11, 100: 111}[value] + number * len(
                    str(value)
                )
        assert [await made.position(f"s{number}") for number in range(20)] == [3] * 20
        assert len(made.worker.table) <= 4
        assert (SessionEvent.EVICTED, "s0") in made.events


async def test_more_sessions_than_allowed_are_refused():
    """The limit counts those in the store too."""
    async with serving(STORES["memory"](), capacity=2, max_sessions=3) as made:
        for number in range(3):
            await made.send(f"s{number}", 1)
        with pytest.raises(TooManySessions):
            await made.send("s3", 1)
        await made.worker.admin.delete("s0")
        await made.send("s3", 1)


@pytest.mark.parametrize("kind", STORES)
async def test_a_session_is_not_put_where_there_is_no_room(kind):
    """The limit holds for those that are imported too; what is there can be replaced."""
    store = STORES[kind]()
    async with serving(store, capacity=2, max_sessions=3) as made:
        for name in "abc":
            await made.send(name, 1)
        admin = made.worker.admin
        record = (await admin.read("a")).record
        with pytest.raises(TooManySessions):
            await admin.write(dataclasses.replace(record, session_id="d"), replace=False)
        with pytest.raises(UnknownSession):
            await admin.read("d")
        await admin.write(dataclasses.replace(record, session_id="b"), replace=True)
        assert (await made.send("b", 10, position=1)).forecasts[0, 0, 0] == 11


async def test_a_session_that_cannot_be_stored_is_not_put():
    """Neither memory nor the store has it then, and a row that waits for it opens a new one."""
    store = DurableStore()
    async with serving(store) as made:
        await made.send("a", 5)
        record = dataclasses.replace((await made.worker.admin.read("a")).record, session_id="b")
        store.failing = {"save"}
        written = asyncio.ensure_future(made.worker.admin.write(record, replace=False))
        waiting = made.send("b", 1)
        with pytest.raises(StoreUnavailable):
            await written
        assert (await waiting).forecasts[0, 0, 0] == 1
        with pytest.raises(StoreUnavailable):
            await made.worker.admin.write(dataclasses.replace(record, session_id="c"), replace=False)
        with pytest.raises(UnknownSession):
            await made.worker.admin.read("c")
        assert set(store.records) == {"a", "b"}


async def test_a_restarted_worker_goes_on_from_the_store():
    """Another worker over the same store has every row that was answered."""
    store = DurableStore()
    async with serving(store) as made:
        await asyncio.gather(*(made.send(f"s{number}", number) for number in range(5)))
    async with serving(store) as made:
        applied = await made.send("s3", 10, position=1)
        assert (applied.position, applied.forecasts[0, 0, 0]) == (2, 13)
        assert store.loaded[-1] == ["s3"]


async def test_a_batch_is_answered_when_the_store_has_it():
    """While the commit is under way nobody is told; sessions stand before the rows for everybody else."""
    store = DurableStore()
    async with serving(store) as made:
        store.gate.clear()
        sent = made.send("a", 5)
        await store.entered.wait()
        assert not sent.done()
        store.gate.set()
        assert (await sent).position == 1


async def test_rows_that_the_store_does_not_take_are_not_applied():
    """The caller is told, memory forgets the state, and a resend applies the row once."""
    store = DurableStore()
    async with serving(store) as made:
        await made.send("a", 1)
        store.failing = {"commit"}
        with pytest.raises(StoreUnavailable):
            await made.send("a", 10, position=1)
        store.failing = {"load"}
        with pytest.raises(StoreUnavailable):
            await made.send("a", 10, position=1)
        store.failing = set()
        applied = await made.send("a", 10, position=1)
        assert (applied.position, applied.forecasts[0, 0, 0]) == (2, 11)


async def test_a_new_session_that_the_store_does_not_take_leaves_nothing():
    """No slot is held, and the id begins anew."""
    store = DurableStore()
    async with serving(store) as made:
        store.failing = {"commit"}
        with pytest.raises(StoreUnavailable):
            await made.send("a", 7)
        store.failing = set()
        with pytest.raises(UnknownSession):
            await made.worker.admin.read("a")
        assert (await made.send("a", 1)).forecasts[0, 0, 0] == 1


async def test_a_session_that_another_replica_took_over_cannot_be_overwritten():
    """The stale replica's row is refused, then loads the session again and goes on from there."""
    store = DurableStore()
    async with serving(store) as stale, serving(store) as other:
        await stale.send("a", 1)
        await other.send("a", 10, position=1)
        with pytest.raises(TokenLost):
            await stale.send("a", 500, position=1)
        assert (SessionEvent.TAKEN_OVER, "a") in stale.events
        again = await stale.send("a", 10, position=1)
        assert (again.num_skipped, again.position, again.forecasts[0, 0, 0]) == (1, 2, 11)


async def test_what_waits_behind_a_lost_batch_is_loaded_first():
    """Rows sent on while the commit fails are held against the store's position, not the lost one."""
    store = DurableStore()
    async with serving(store) as made:
        await made.send("a", 1)
        store.gate.clear()
        store.entered.clear()
        first = made.send("a", 10, position=1)
        await store.entered.wait()
        behind = made.send("a", 100, position=1)
        store.failing = {"commit"}
        store.gate.set()
        with pytest.raises(StoreUnavailable):
            await first
        store.failing = set()
        try:
            applied = await behind
        except StoreUnavailable:
            applied = await made.send("a", 100, position=1)
        assert (applied.position, applied.forecasts[0, 0, 0]) == (2, 101)


async def test_only_the_damaged_session_is_refused():
    """Its neighbours in the frame are applied."""
    store = DurableStore()
    async with serving(store) as made:
        await asyncio.gather(made.send("a", 1), made.send("b", 1))
    store.records["a"] = dataclasses.replace(store.records["a"], states=b"short")
    async with serving(store) as made:
        result = await made.send_frame([("a", [1], None), ("b", [2], None)])
        assert "damaged" in str(result.errors[0])
        assert result.dense[1, 0, 0] == 3


async def test_a_session_that_cannot_be_read_can_be_replaced():
    """Its id is taken until somebody says that whatever is there may go."""
    store = DurableStore()

    async def peek(_model, session_id):
        return StoreFault(session_id, "torn")

    async with serving(store) as made:
        await made.send("a", 5)
        record = dataclasses.replace((await made.worker.admin.read("a")).record, session_id="b")
        store.peek = peek
        with pytest.raises(DamagedState, match="torn"):
            await made.worker.admin.read("b")
        with pytest.raises(SessionExists):
            await made.worker.admin.write(record, replace=False)
        await made.worker.admin.write(record, replace=True)
        assert (await made.send("b", 1, position=1)).forecasts[0, 0, 0] == 6


async def test_a_deleted_session_begins_anew_everywhere():
    """In memory and in the store."""
    store = DurableStore()
    async with serving(store) as made:
        await made.send("a", 5)
        ended = await made.worker.admin.delete("a")
        assert ended.record.position == 1
        assert not store.records
        assert (await made.send("a", 1)).forecasts[0, 0, 0] == 1


async def test_a_fork_leaves_the_original_bit_equal():
    """A copy goes its own way."""
    async with serving(DurableStore()) as made:
        await made.send("a", 5)
        before = (await made.worker.admin.read("a")).record
        await made.worker.admin.write(dataclasses.replace(before, session_id="b"), replace=False)
        assert (await made.send("b", 1)).forecasts[0, 0, 0] == 6
        assert (await made.worker.admin.read("a")).record.states == before.states


async def test_a_carried_state_is_kept_nowhere():
    """Neither in memory nor in the store, and it goes on where it was."""
    store = DurableStore()
    async with serving(store) as made:
        record = made.worker.admin.initial_record("carried")
        for value, total in ((1, 1), (10, 11)):
            seen = []

            def frame_of(slot, value=value, seen=seen):
                frame = made.frame([(slot, [value], None)], Reply.LAST)
                frame.done = lambda frame: seen.append(frame.result.dense[0, 0, 0])
                return frame

            record = await made.worker.admin.advance_record(record, frame_of)
            assert seen == [total]
        assert record.position == 2
        assert not store.records
        assert not len(made.worker.table)


@pytest.mark.parametrize(("policy", "total"), [("pin", 3), ("carry", 3), ("replay", 3)])
async def test_live_sessions_go_over_as_the_policy_says(policy, total):
    """No session is dropped: its next row stands on all rows before it."""
    store = DurableStore()
    async with serving(store, num_recent_rows=4) as made:
        old = made.runner
        await made.send("a", 1)
        await made.send("b", 1)
        newer = model(2)
        await made.worker.serve(newer, UpgradePolicy(policy))
        assert (await made.send("a", 2)).forecasts[0, 0, 0] == total
        assert (await made.send("new", 9)).forecasts[0, 0, 0] == 9
        stepped = newer.runner if policy != "pin" else old
        assert stepped.batches
        digest = store.records["a"].digest
        assert digest == (
            made.worker.versions.newest.model.manifest.digest if policy != "pin" else model(1).manifest.digest
        )
        await Upkeep(made.worker, TTL_S, made.clock).once()
        left = [loaded.model.version for loaded in made.worker.versions.all()]
        assert left == ([1, 2] if policy == "pin" else [2])
        assert ((SessionEvent.UPGRADED, "b") in made.events) == (policy != "pin")


async def test_a_replayed_session_stands_on_its_recent_rows_only():
    """The ring bounds what the new version sees."""
    async with serving(DurableStore(), num_recent_rows=2) as made:
        for value in (1, 10, 100):
            await made.send("a", value)
        await made.worker.serve(model(2), UpgradePolicy.REPLAY)
        assert (await made.send("a", 1000)).forecasts[0, 0, 0] == 1110


@pytest.mark.parametrize(
    ("change", "policy", "reason"),
    [
        ({"horizon": 3}, "pin", "horizon"),
        ({"states": (STATES[0].model_copy(update={"shape": (2,)}),)}, "carry", "states differ"),
        ({}, "replay", "recent_rows"),
    ],
)
async def test_a_version_that_live_sessions_cannot_go_over_to_is_refused(change, policy, reason):
    """The old version goes on."""
    async with serving(DurableStore()) as made:
        await made.send("a", 1)
        with pytest.raises(UpgradeRefused, match=reason):
            await made.worker.serve(model(2, **change), UpgradePolicy(policy))
        assert (await made.send("a", 2)).forecasts[0, 0, 0] == 3


async def test_a_stored_session_of_an_older_version_brings_its_version_back():
    """After a restart with a newer version, a pinned session finds its own in the repository."""
    store, fetched = DurableStore(), []
    async with serving(store) as made:
        await made.send("a", 1)

    async def fetch(digest):
        fetched.append(digest)
        return model(1) if digest == model(1).manifest.digest else None

    async with serving(store, served=model(2), fetch=fetch) as made:
        assert (await made.send("a", 2)).forecasts[0, 0, 0] == 3
        assert fetched == [model(1).manifest.digest]
        assert made.worker.model.version == 2
    async with serving(store, served=model(3)) as made:
        with pytest.raises(ForeignState):
            await made.send("a", 2)


async def test_a_rollback_is_an_upgrade_to_the_older_version():
    """Sessions carry their state there and back."""
    async with serving(DurableStore()) as made:
        await made.send("a", 1)
        await made.worker.serve(model(2), UpgradePolicy.CARRY)
        await made.send("a", 2)
        await made.worker.serve(model(1), UpgradePolicy.CARRY)
        assert (await made.send("a", 3)).forecasts[0, 0, 0] == 6
        assert made.worker.model.version == 1


async def test_histories_commit_slice_by_slice():
    """A store that fails half way leaves the session at a slice; the resend skips what was stored."""
    store = DurableStore()
    async with serving(store) as made:
        made.worker._intake._num_history_rows = lambda _now_s: 100
        store.gate.clear()
        sent = made.send("a", *[1.0] * 450, position=0)
        await store.entered.wait()
        store.gate.set()
        while store.num_commits < 2:
            store.entered.clear()
            await store.entered.wait()
        store.failing = {"commit"}
        with pytest.raises(StoreUnavailable):
            await sent
        store.failing = set()
        committed = store.records["a"].position
        assert committed % 100 == 0
        assert 0 < committed < 450
        applied = await made.send("a", *[1.0] * 450, position=0)
        assert (applied.num_skipped, applied.position) == (committed, 450)
        assert applied.forecasts[0, 0, 0] == 450


async def test_upkeep_ends_and_tells_what_is_over():
    """In memory and in the store, each told once; the room of both is free again."""
    store = MemoryStore(TTL_S, lambda: made.clock.wall_s())
    async with serving(store, capacity=2, max_sessions=3) as made:
        upkeep = Upkeep(made.worker, TTL_S, made.clock)
        for name in "abc":
            await made.send(name, 1)
        assert made.events == [(SessionEvent.EVICTED, "a")]
        await upkeep.once()
        made.clock.now_s += TTL_S + 1
        await upkeep.once()
        await upkeep.once()
        assert sorted(made.events[1:]) == [(SessionEvent.EXPIRED, name) for name in "abc"]
        assert not len(made.worker.table)
        for name in "def":
            await made.send(name, 1)
        with pytest.raises(TooManySessions):
            await made.send("g", 1)
