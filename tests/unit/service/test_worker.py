"""The session worker: order, batches, failures, room."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

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
from service.sessions.frame import NO_POSITION, Frame
from service.sessions.limits import Limits
from service.sessions.plan import StepLimits
from service.sessions.worker import SessionWorker
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

    def __init__(self, executor, max_sessions=100, **limits):
        self.runner = CountingRunner(Arena(STATES, max_sessions))
        self.clock = HandClock()
        bounds = {"max_batch_size": 100, "max_queued_rows": 10_000, "max_inline_rows": 0, **limits}
        model = ServedModel("sum", 1, MANIFEST, Frequency.parse("h"), max_sessions, self.runner)
        limits = Limits(session_ttl_s=100.0, max_sessions=max_sessions, steps=StepLimits(5, 5_000), **bounds)
        self.worker = SessionWorker(model, limits, self.clock, executor)
        self.frames = []

    def send(self, session_id, *values, position=None, reply=Reply.LAST):
        """One entry; a future of what became of it."""
        future = self.send_frame([(session_id, values, position)], reply)
        return asyncio.ensure_future(_only(future))

    def send_frame(self, entries, reply=Reply.LAST):
        """Entries (session id, values, position); a future of the frame's result."""
        done = asyncio.get_running_loop().create_future()
        resolve = self.worker.table.resolve
        frame = self.frame([(resolve(session_id), *rest) for session_id, *rest in entries], reply)
        frame.done = lambda frame: done.set_result(frame.result)
        self.frames.append(frame)
        self.worker.submit(frame)
        return done

    def frame(self, entries, reply):
        """Entries (slot, values, position)."""
        return Frame(
            np.array([slot for slot, *_ in entries]),
            np.array([len(values) for _, values, _ in entries]),
            np.array([NO_POSITION if position is None else position for *_, position in entries]),
            None,
            np.concatenate([np.array(values, np.float64) for _, values, _ in entries]).reshape(-1, 1),
            reply,
            lambda frame: None,
        )

    async def total(self, session_id):
        """The session's state, seen through a row that is skipped."""
        applied = await self.send(session_id, 0.0, position=0)
        assert applied.num_skipped == 1
        return float(applied.forecasts[0, 0, 0])

    def check(self):
        self.worker.table.check_integrity()


async def _only(future):
    """A one-entry frame's result, or its error."""
    result = await future
    if result.errors:
        raise result.errors[0]
    forecasts, made_at = result.dense, result.positions
    if 0 in result.forecasts:
        forecasts = np.concatenate(result.forecasts[0])
        made_at = np.concatenate(result.forecast_positions[0])
    return SimpleNamespace(
        position=int(result.positions[0]),
        num_skipped=int(result.counts[0, 0]),
        forecasts=forecasts,
        forecast_positions=made_at,
    )


@asynccontextmanager
async def bench(**limits):
    with ThreadPoolExecutor(1) as executor:
        made = Bench(executor, **limits)
        task = asyncio.create_task(made.worker.run())
        try:
            yield made
            made.check()
            assert not made.worker.table.num_waiting.any()
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
        assert [len(batch) for batch in made.runner.batches] == [1, 1, 1, 1]


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
            await made.worker.admin.read("a")


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
        assert len(made.worker.table) == 1
        await made.send("a", 7)
        assert await made.total("a") == 7


async def test_a_dropped_frame_that_waits_is_not_applied():
    """Nobody waits for it any more; its session takes the next one."""
    async with bench() as made:
        held = await _hold(made)
        dropped, kept = made.send("a", 1000), made.send("a", 1)
        made.frames[-2].drop()
        made.runner.gate.set()
        await asyncio.gather(held, kept)
        assert await made.total("a") == 1
        dropped.cancel()


async def test_a_frame_dropped_inside_a_run_still_commits():
    """A batch that has begun goes through; the session stands after the row."""
    async with bench() as made:
        held = await _hold(made)
        made.frames[-1].drop()
        made.runner.gate.set()
        await held
        assert await made.total("held") == 1


async def test_room_for_rows_is_bounded():
    """Rows beyond the bound are refused at once, with a delay."""
    async with bench(max_queued_rows=10) as made:
        held = await _hold(made)
        waiting = made.send("a", *range(8))
        # The row that runs is not done yet: nine of ten.
        made.worker.check_room(1)
        with pytest.raises(QueueFull) as caught:
            made.worker.check_room(2)
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
        await made.worker.admin.delete("b")
        await made.send("c", 1)


async def test_an_idle_session_ends_and_its_slot_is_used_again():
    """Past its time to live a session is unknown, and a new one begins at zero."""
    async with bench(max_sessions=1) as made:
        await made.send("a", 5)
        made.clock.now_s = 101.0
        with pytest.raises(UnknownSession):
            await made.worker.admin.read("a")
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


async def test_a_deletion_comes_between_two_batches():
    """It waits for the run that is under way; rows that wait for the session begin a new one."""
    async with bench() as made:
        await made.send("held", 5)
        held = await _hold(made)
        deletion = asyncio.ensure_future(made.worker.admin.delete("held"))
        after = made.send("held", 50)
        made.runner.gate.set()
        await held
        assert (await deletion).info.position == 2
        assert (await after).position == 1
        assert await made.total("held") == 50
        with pytest.raises(UnknownSession):
            await made.worker.admin.delete("never")


async def test_a_deleted_session_leaves_no_state_behind():
    """Whoever gets its slot next starts from the initial state."""
    async with bench(max_sessions=1) as made:
        await made.send("a", 5)
        await made.worker.admin.delete("a")
        await made.send("b", 1)
        assert await made.total("b") == 1


async def test_a_history_lets_single_steps_pass():
    """A long chunk goes in slices; a step that comes meanwhile waits for one slice only."""
    async with bench() as made:
        await made.send("step", 1)
        made.runner.gate.clear()
        history = made.send("history", *([1] * 4_000))
        step = made.send("step", 1)
        made.runner.gate.set()
        await step
        assert not history.done()
        applied = await history
        assert (applied.position, applied.forecasts[0, 0, 0]) == (4_000, 4_000)
        assert sum(steps for _, steps in made.runner.shapes) == 4_002


async def test_rows_behind_a_history_of_their_session_stay_behind_it():
    """Order within a session holds across slices, for frames before it, behind it, and in one frame."""
    async with bench() as made:
        held = await _hold(made)
        before = made.send("a", 1, reply=Reply.EACH)
        history = made.send("a", *([2] * 2_000), reply=Reply.EACH)
        mixed = made.send_frame([("b", [7] * 1_500, None), ("a", [1], None), ("b", [1], None)])
        after = made.send("a", 5, position=2_002)
        made.runner.gate.set()
        await asyncio.gather(held, before, history, mixed, after)
        assert before.result().forecasts[:, 0, 0].tolist() == [1]
        assert history.result().forecasts[:, 0, 0].tolist() == list(range(3, 4_002, 2))
        assert history.result().forecast_positions.tolist() == list(range(2, 2_002))
        assert mixed.result().dense[:, 0, 0].tolist() == [10_500, 4_002, 10_501]
        assert after.result().position == 2_003


async def test_a_history_refused_for_its_position_ends_at_once():
    """Nothing of it applies, and what is behind it goes on."""
    async with bench() as made:
        held = await _hold(made)
        history, after = made.send("a", *([1] * 500), position=9), made.send("a", 1)
        made.runner.gate.set()
        await held
        with pytest.raises(PositionConflict):
            await history
        assert (await after).position == 1


async def test_a_history_that_fails_half_way_can_be_sent_again():
    """It stands after some slice; the same rows at the same position make it whole."""
    async with bench() as made:
        held = await _hold(made)
        made.runner.fail_on = {3}
        history = made.send("a", *([1] * 2_000), position=0)
        made.runner.gate.set()
        await held
        with pytest.raises(EngineFailure):
            await history
        assert 0 < (await made.worker.admin.read("a")).record.position < 2_000
        made.check()
        await made.send("a", *([1] * 2_000), position=0)
        assert await made.total("a") == 2_000


async def test_a_frame_larger_than_a_batch_goes_in_several():
    """Every entry is answered, in its place."""
    async with bench(max_batch_size=3) as made:
        result = await made.send_frame([(f"s{number}", [number], None) for number in range(8)])
        assert result.dense[:, 0, 0].tolist() == list(range(8))
        assert [len(batch) for batch in made.runner.batches] == [3, 3, 2]


async def test_a_small_batch_runs_on_the_event_loop():
    """Within the bound no thread is involved, and nothing else differs."""
    async with bench(max_inline_rows=2) as made:
        made.worker._executor = None
        await made.send("a", 1)
        assert (await made.send("a", 2)).forecasts[0, 0, 0] == 3


async def test_any_mix_of_clients_loses_nothing():
    """Random sessions, chunk lengths, duplicates and failing runs: each row counts once."""
    random = np.random.default_rng(7)
    async with bench(max_batch_size=3) as made:
        made.runner.fail_on = set(random.choice(60, 20, replace=False).tolist())
        names = [f"s{number}" for number in range(6)]

        async def client(name):
            sent = 0
            values = random.integers(1, 9, 60)
            while sent < len(values):
                length = int(random.choice([1, 2, 3, 40]))
                # Sometimes from further back, as after a lost reply.
                start = max(sent - int(random.integers(0, 3)), 0)
                try:
                    applied = await made.send(name, *values[start : sent + length], position=start)
                except StatecastError:
                    made.check()
                    continue
                sent = applied.position
            return float(values.sum())

        totals = await asyncio.gather(*(client(name) for name in names))
        assert [await made.total(name) for name in names] == totals
