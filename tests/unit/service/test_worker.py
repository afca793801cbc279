"""The session worker: order, batches, failures, room."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import numpy as np
import pytest

from models.frequency import Frequency
from models.manifest import FeatureSpec, Manifest, StateSpec, TrainingSummary
from service.engine.arena import Arena
from service.engine.model import ServedModel
from service.engine.runner import Reply
from service.errors import (
    EngineFailure,
    PositionConflict,
    QueueFull,
    StatecastError,
    TooManySessions,
    UnknownSession,
)
from service.sessions.chunk import Chunk, Deletion
from service.sessions.plan import StepLimits
from service.sessions.worker import Limits, SessionWorker
from service.store.memory import MemoryStore
from tests.fakes import CountingRunner, HandClock

STATES = (StateSpec(name="total", shape=(1,), dtype="float64"),)
MANIFEST = Manifest(
    name="sum",
    digest="sha256:" + "0" * 64,
    cell="sum",
    features=(FeatureSpec(name="y"),),
    frequency="h",
    season_length=24,
    horizon=2,
    quantile_levels=(0.1, 0.5, 0.9),
    states=STATES,
    opset=20,
    training=TrainingSummary(
        num_series=1,
        num_rows=1,
        num_missing=0,
        first_time=datetime(2020, 1, 1, tzinfo=UTC),
        last_time=datetime(2020, 1, 1, tzinfo=UTC),
    ),
    backtest={},
    parity_error=0.0,
)


class Bench:
    """A worker over a counting runner, with its parts at hand."""

    def __init__(self, executor, **limits):
        self.arena = Arena(STATES)
        self.runner = CountingRunner(self.arena)
        self.clock = HandClock()
        self.store = MemoryStore(ttl_s=100.0, clock=self.clock)
        bounds = {"max_sessions": 100, "max_batch_size": 100, "max_queued_rows": 1000, **limits}
        model = ServedModel("sum", 1, MANIFEST, Frequency.parse("h"), self.arena, self.runner)
        self.worker = SessionWorker(model, self.store, Limits(**bounds, steps=StepLimits(5, 100)), executor)

    def send(self, session_id, *values, position=None, reply=Reply.LAST):
        rows = np.array(values, np.float64).reshape(-1, 1)
        return self.worker.submit(Chunk(session_id, rows, None, position, reply))

    async def total(self, session_id):
        """The session's state, seen through a chunk that is skipped."""
        applied = await self.send(session_id, 0.0, position=0)
        return float(applied.forecasts[0, 0, 0])

    def check(self):
        self.arena.check_integrity()
        assert len(self.arena) == len(self.store), "a slot has no record, or a record no slot"


@asynccontextmanager
async def bench(**limits):
    with ThreadPoolExecutor(1) as executor:
        made = Bench(executor, **limits)
        task = asyncio.create_task(made.worker.run())
        try:
            yield made
            made.check()
        finally:
            made.runner.gate.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _hold(made):
    """Hold the runner inside a run of its own session, so that what follows queues up."""
    made.runner.gate.clear()
    made.runner.entered.clear()
    held = made.send("held", 1.0)
    await asyncio.to_thread(made.runner.entered.wait)
    return held


async def test_rows_accumulate_across_chunks():
    """Each chunk starts from the state that the one before it left."""
    async with bench() as made:
        await made.send("a", 1, 2)
        applied = await made.send("a", 3, reply=Reply.EACH)
        assert applied.position == 3
        assert list(applied.forecast_positions) == [3]
        assert applied.forecasts[0, 0, 0] == 6


async def test_what_waits_together_runs_together():
    """Sessions that wait while a batch runs share the next one."""
    async with bench() as made:
        held = await _hold(made)
        waiting = [made.send(f"s{number}", number) for number in range(5)]
        made.runner.gate.set()
        await asyncio.gather(held, *waiting)
        assert [len(batch) for batch in made.runner.batches] == [1, 5]


async def test_chunks_of_one_session_keep_their_order():
    """A session has one chunk in a batch; the next waits for it."""
    async with bench() as made:
        held = await _hold(made)
        waiting = [made.send("a", value, reply=Reply.EACH) for value in (1, 10, 100)]
        made.runner.gate.set()
        await held
        applied = await asyncio.gather(*waiting)
        assert [entry.forecasts[0, 0, 0] for entry in applied] == [1, 11, 111]
        assert all(len(set(batch)) == len(batch) for batch in made.runner.batches)


async def test_a_resent_chunk_is_applied_once():
    """The second copy is skipped and answered with the forecast of the session as it stands."""
    async with bench() as made:
        first = await made.send("a", 5, position=0)
        again = await made.send("a", 5, position=0)
        assert (again.num_skipped, again.position) == (1, 1)
        assert (again.forecasts == first.forecasts).all()


async def test_a_conflict_opens_no_session():
    """Rows refused for their position leave nothing behind."""
    async with bench() as made:
        with pytest.raises(PositionConflict):
            await made.send("a", 5, position=3)
        with pytest.raises(UnknownSession):
            made.worker.describe("a")


@pytest.mark.parametrize("failing_run", [1, 2, 3])
async def test_a_failed_run_leaves_sessions_before_the_row(failing_run):
    """Every waiter is answered, no slot leaks, and a resend applies the row."""
    async with bench() as made:
        made.runner.fail_on = {failing_run}
        outcomes = []
        for position, value in enumerate((1, 10, 100)):
            for _ in range(2):
                try:
                    applied = await made.send("a", value, position=position)
                except EngineFailure as error:
                    assert len(error.correlation_id) == 16
                    made.check()
                else:
                    outcomes.append(applied.position)
                    break
        assert outcomes == [1, 2, 3]
        assert await made.total("a") == 111


async def test_one_failed_run_fails_all_of_its_sessions_and_no_other():
    """Sessions of the failed batch stand before the row; the next batch works."""
    async with bench() as made:
        held = await _hold(made)
        made.runner.fail_on = {2}
        waiting = [made.send(name, 1) for name in "abc"]
        made.runner.gate.set()
        await held
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(outcome, EngineFailure) for outcome in outcomes)
        made.check()
        assert len(made.worker) == 1
        await made.send("a", 7)
        assert await made.total("a") == 7


async def test_a_cancelled_chunk_that_waits_is_dropped():
    """It is not applied, and its session takes the next chunk."""
    async with bench() as made:
        held = await _hold(made)
        dropped, kept = made.send("a", 1000), made.send("a", 1)
        dropped.cancel()
        made.runner.gate.set()
        await asyncio.gather(held, kept)
        assert await made.total("a") == 1


async def test_a_chunk_cancelled_inside_a_run_still_commits():
    """A batch that has begun goes through; the session stands after the row."""
    async with bench() as made:
        held = await _hold(made)
        held.cancel()
        made.runner.gate.set()
        assert await made.total("held") == 1


async def test_room_for_rows_is_bounded():
    """Rows beyond the bound are refused at once, with a delay."""
    async with bench(max_queued_rows=10) as made:
        held = await _hold(made)
        waiting = made.send("a", *range(8))
        made.worker.check_room(2)
        with pytest.raises(QueueFull) as caught:
            made.worker.check_room(3)
        assert caught.value.retry_after_s > 0
        made.runner.gate.set()
        await asyncio.gather(held, waiting)
        made.worker.check_room(50)


async def test_room_for_sessions_is_bounded():
    """A session too many is refused; the open ones go on; a deleted one makes room."""
    async with bench(max_sessions=2) as made:
        await asyncio.gather(made.send("a", 1), made.send("b", 1))
        with pytest.raises(TooManySessions):
            await made.send("c", 1)
        await made.send("a", 1)
        await made.worker.submit(Deletion("b"))
        await made.send("c", 1)


async def test_an_idle_session_ends_and_its_slot_is_used_again():
    """Past its time to live a session is unknown, and a new one begins at zero."""
    async with bench(max_sessions=1) as made:
        await made.send("a", 5)
        made.clock.now_s = 101.0
        with pytest.raises(UnknownSession):
            made.worker.describe("a")
        applied = await made.send("a", 1)
        assert applied.position == 1
        assert await made.total("a") == 1


async def test_a_session_in_a_batch_does_not_expire_under_it():
    """Its time starts anew when its chunk is taken, so no newcomer gets its slot."""
    async with bench() as made:
        await made.send("old", 5)
        made.clock.now_s = 99.0
        held = await _hold(made)
        waiting = [made.send("old", 1), made.send("new", 100)]
        made.runner.gate.set()
        await asyncio.gather(held, *waiting)
        made.clock.now_s = 150.0
        assert await made.total("old") == 6


async def test_a_deletion_waits_for_the_rows_before_it():
    """It ends the session as those rows left it; rows after it begin a new one."""
    async with bench() as made:
        held = await _hold(made)
        before, deletion = made.send("a", 1, 2), made.worker.submit(Deletion("a"))
        after = made.send("a", 50)
        made.runner.gate.set()
        await asyncio.gather(held, before)
        assert (await deletion).position == 2
        assert (await after).position == 1
        assert await made.total("a") == 50


async def test_any_mix_of_clients_loses_nothing():
    """Random sessions, chunk lengths, duplicates and failing runs: each row counts once."""
    random = np.random.default_rng(7)
    async with bench(max_batch_size=3) as made:
        made.runner.fail_on = set(random.choice(60, 20, replace=False).tolist())
        names = [f"s{number}" for number in range(6)]

        async def client(name):
            sent = 0
            values = random.integers(1, 9, 30)
            while sent < len(values):
                length = int(random.integers(1, 5))
                # Sometimes from further back, as after a lost reply.
                start = max(sent - int(random.integers(0, 3)), 0)
                try:
                    applied = await made.send(name, *values[start : sent + length], position=start)
                except StatecastError:
                    made.arena.check_integrity()
                    continue
                sent = applied.position
            return float(values.sum())

        totals = await asyncio.gather(*(client(name) for name in names))
        assert [await made.total(name) for name in names] == totals
