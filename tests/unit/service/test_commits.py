"""Batches under way to a store: what goes on meanwhile, and what waits."""

import asyncio

import pytest

from service.errors import StoreUnavailable
from tests.durable_store import DurableStore
from tests.unit.service.test_worker_with_store import serving

# More turns of the event loop than any batch takes.
MANY_TURNS = 500


async def begun(store, num):
    """When the store was asked to take so many batches."""
    while len(store.begun) < num:
        store.entered.clear()
        await store.entered.wait()


async def many_turns():
    for _ in range(MANY_TURNS):
        await asyncio.sleep(0)


class CountedTurns:
    """How often a worker has looked for something to do."""

    def __init__(self, worker):
        self.num = 0
        look = worker.residency.load_missing

        async def counted():
            self.num += 1
            return await look()

        worker.residency.load_missing = counted


async def test_other_sessions_go_on_while_a_shared_store_is_at_work():
    """Three batches are under way at once, no more; each is answered when the store has it."""
    store = DurableStore()
    async with serving(store) as made:
        store.gate.clear()
        sent = []
        for number, name in enumerate("abcd"):
            sent.append(made.send(name, number))
            await begun(store, min(number + 1, 3))
        await many_turns()
        assert store.begun == [["a"], ["b"], ["c"]]
        assert not any(each.done() for each in sent)
        store.gate.set()
        applied = await asyncio.gather(*sent)
        assert [each.forecasts[0, 0, 0] for each in applied] == [0, 1, 2, 3]


async def test_a_store_of_our_own_has_one_batch_at_a_time():
    """Where it works on the cores that the engine works on."""
    store = DurableStore(is_shared=False)
    async with serving(store) as made:
        store.gate.clear()
        sent = [made.send("a", 1)]
        await begun(store, 1)
        sent.append(made.send("b", 2))
        await many_turns()
        assert store.begun == [["a"]]
        store.gate.set()
        await asyncio.gather(*sent)


async def test_a_session_has_one_batch_at_a_time():
    """Its next row, and its history, wait until the row before is answered; its neighbours do not."""
    store = DurableStore()
    async with serving(store) as made:
        store.gate.clear()
        first = made.send("a", 1)
        await begun(store, 1)
        second, history = made.send("a", 10), made.send("a", *[100] * 20)
        beside = made.send("b", 7)
        await begun(store, 2)
        await many_turns()
        assert store.begun == [["a"], ["b"]]
        store.gate.set()
        applied = await asyncio.gather(first, second, history, beside)
        assert [each.position for each in applied] == [1, 2, 22, 1]
        assert [each.forecasts[0, 0, 0] for each in applied] == [1, 11, 2011, 7]


async def test_a_history_behind_a_row_under_way_waits():
    """Nothing else waits: the history alone is held back, and goes on when the row is answered."""
    store = DurableStore()
    async with serving(store) as made:
        store.gate.clear()
        first = made.send("a", 1)
        await begun(store, 1)
        history = made.send("a", *[10] * 20)
        await many_turns()
        assert store.begun == [["a"]]
        store.gate.set()
        assert [(await each).position for each in (first, history)] == [1, 21]


async def test_what_reads_a_session_waits_for_its_batch():
    """Beside a batch under way the state would be that after the row, the position that before it."""
    store = DurableStore()
    async with serving(store) as made:
        await made.send("a", 1)
        store.gate.clear()
        sent = made.send("a", 10)
        await begun(store, 2)
        read = asyncio.ensure_future(made.worker.admin.read("a"))
        await many_turns()
        assert not read.done()
        store.gate.set()
        assert (await read).record.position == (await sent).position == 2


async def test_a_batch_that_is_not_taken_leaves_the_others_alone():
    """Its session is loaded again; the one under way beside it is answered."""
    store = DurableStore()
    async with serving(store) as made:
        await asyncio.gather(made.send("a", 1), made.send("b", 2))
        store.gate.clear()
        first = made.send("a", 10)
        await begun(store, len(store.begun) + 1)
        second = made.send("b", 20)
        await begun(store, len(store.begun) + 1)
        store.refusing = {"a"}
        store.gate.set()
        with pytest.raises(StoreUnavailable):
            await first
        assert (await second).forecasts[0, 0, 0] == 22
        store.refusing = set()
        assert (await made.send("a", 10, position=1)).forecasts[0, 0, 0] == 11


async def test_a_worker_that_ends_answers_what_is_under_way():
    """The store has the rows: whoever sent them is told."""
    store = DurableStore()
    async with serving(store) as made:
        store.gate.clear()
        sent = made.send("a", 1)
        await begun(store, 1)
        made.has_ended = True
        made.task.cancel()
        await many_turns()
        assert not made.task.done()
        store.gate.set()
        assert (await sent).position == 1
        await asyncio.wait([made.task])


@pytest.mark.parametrize("is_shared", [True, False])
async def test_a_worker_looks_for_work_only_when_there_may_be_some(is_shared):
    """Idle, or with a batch under way, it takes no turns: a core would be busy with nothing."""
    store = DurableStore(is_shared=is_shared)
    async with serving(store) as made:
        await made.send("a", 1)
        turns = CountedTurns(made.worker)
        await many_turns()
        assert turns.num <= 1, "idle"
        store.gate.clear()
        sent = made.send("a", 10)
        await begun(store, 2)
        behind = made.send("a", 100)
        before = turns.num
        await many_turns()
        assert turns.num <= before + 2, "held back"
        store.gate.set()
        assert [(await each).position for each in (sent, behind)] == [2, 3]


async def test_sessions_that_cannot_leave_do_not_keep_the_worker_busy():
    """They are tried again with the next row, or by upkeep."""
    store = DurableStore(is_shared=False)
    async with serving(store, capacity=2) as made:
        await asyncio.gather(made.send("a", 1), made.send("b", 2))
        store.failing = {"save"}
        await made.send("c", 3)
        turns = CountedTurns(made.worker)
        await many_turns()
        assert turns.num <= 1
        store.failing = set()
        made.worker.wake()
        await many_turns()
        assert made.worker.residency.is_settled
