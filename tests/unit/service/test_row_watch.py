"""Watches of single sessions' rows: what is told, at what pace, and that nothing of a session changes."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from service.clock import SystemClock
from service.engine.runner import Reply
from service.errors import EngineFailure, TooManyWatches
from service.loading import ModelLoader
from service.sessions.frame import NO_POSITION, Frame
from service.sessions.info import SessionEvent
from service.sessions.limits import Limits
from service.sessions.plan import StepLimits
from service.sessions.row_watch import MAX_OF_EACH, MAX_WATCHES
from service.sessions.worker import SessionWorker
from service.store.contract import NO_TIME
from service.tenant import prefix_of
from tests.model_files import write_model
from tests.task_models import write_task_model
from tests.unit.service.test_worker import bench


class Told:
    """Keeps what it is told."""

    def __init__(self):
        self.rows, self.events = [], []
        self.came = asyncio.Event()

    def row(self, row):
        self.rows.append(row)
        self.came.set()

    def event(self, event, info):
        self.events.append((event, info.position))

    @property
    def brief(self):
        """Position, value, forecast and rows left out, of each row."""
        return [(r.position, r.values[0], r.forecast[0, 0], r.num_skipped) for r in self.rows]


async def _after_batches(made):
    """Once everything that was sent is answered and told."""

    async def nothing():
        pass

    await made.worker.between_batches(nothing)


async def test_each_row_is_told_with_the_forecast_after_it():
    """Also the first row of a session that is not there yet; none from before the watch, none of others."""
    async with bench() as made:
        told = Told()
        await made.send("old", 5.0)
        made.worker.watches.open("old", 50, told)
        made.worker.watches.open("new", 50, told)
        await made.send("old", 2.0, reply=Reply.NONE)
        await made.send_frame([("other", [9.0], None), ("new", [3.0], None), ("another", [9.0], None)])
        await made.send("new", 1.0, reply=Reply.EACH)
        assert told.brief == [(2, 2.0, 7.0, 0), (1, 3.0, 3.0, 0), (2, 1.0, 4.0, 0)]
        assert [row.time_us for row in told.rows] == [None] * 3


async def test_of_a_chunk_the_last_row_is_told():
    """The others are counted; so are those of a history, slice by slice, and none twice."""
    async with bench(max_inline_rows=1000) as made:
        told = Told()
        made.worker.watches.open("a", 50, told)
        await made.send("a", 1.0, 2.0, 3.0, reply=Reply.EACH)
        await made.send("a", *[1.0] * 40)
        assert told.brief[0] == (3, 3.0, 6.0, 2)
        assert told.brief[-1][:3] == (43, 1.0, 46.0)
        assert sum(1 + skipped for *_, skipped in told.brief) == 43


async def test_duplicates_and_refused_rows_are_not_told():
    """What the session did not take is no row of its, nor counted."""
    async with bench() as made:
        told = Told()
        made.worker.watches.open("a", 50, told)
        await made.send("a", 1.0, position=0)
        await made.send("a", 1.0, position=0)
        with pytest.raises(Exception, match="position"):
            await made.send("a", 1.0, position=7)
        made.runner.fail_on = {len(made.runner.batches) + 1}
        with pytest.raises(EngineFailure):
            await made.send("a", 1.0)
        await made.send("a", 4.0)
        assert told.brief == [(1, 1.0, 1.0, 0), (2, 4.0, 5.0, 0)]


async def test_times_gaps_and_late_rows_are_told_of():
    """A late row is counted as left out; missing steps as such."""
    hour = 3_600_000_000
    async with bench() as made:
        told = Told()
        made.worker.watches.open("a", 50, told)
        for time in (10, 11, 14, 12, 15):
            slot = np.array([made.worker.table.resolve("a")])
            done = asyncio.get_running_loop().create_future()
            times, values = np.array([time * hour]), np.array([[1.0]])
            each = np.array([1]), np.array([NO_POSITION])
            made.worker.submit(
                Frame(slot, *each, times, values, Reply.NONE, lambda _, d=done: d.set_result(0))
            )
            await done
        assert [(row.time_us // hour, row.num_skipped, row.num_missing) for row in told.rows] == [
            (10, 0, 0), (11, 0, 0), (14, 0, 2), (15, 1, 0),
        ]  # fmt: skip


async def test_a_faster_stream_is_thinned_and_counted():
    """At the pace that was asked for, and the last row of all is told although none follows."""
    async with bench() as made:
        told = Told()
        made.worker.watches.open("a", 4, told)
        for _ in range(10):
            await made.send("a", 1.0)
        assert told.brief == [(1, 1.0, 1.0, 0)]
        made.clock.now_s += 0.3
        await made.send("a", 1.0)
        assert told.brief[1:] == [(11, 1.0, 11.0, 9)]
        await made.send("a", 5.0, reply=Reply.NONE)
        made.clock.now_s += 0.3
        told.came.clear()
        await made.worker.watches.tell_owed("a")
        assert told.brief[2:] == [(12, 5.0, 16.0, 0)]


async def test_a_row_that_is_owed_is_told_by_itself():
    """Within the pace, by the event loop's own clock."""
    async with bench() as made:
        told = Told()
        made.worker.watches.open("a", 50, told)
        for _ in range(30):
            await made.send("a", 1.0)
        assert len(told.rows) < 30
        made.clock.now_s += 10
        while told.rows[-1].position < 30:
            told.came.clear()
            await asyncio.wait_for(told.came.wait(), 30)
        assert sum(1 + row.num_skipped for row in told.rows) == 30


async def test_what_is_owed_of_a_state_that_was_replaced_is_not_told():
    """A reset is told of, and the next row is the first."""
    async with bench() as made:
        told, admin = Told(), made.worker.admin
        made.worker.watches.open("a", 1, told)
        await made.send("a", 1.0)
        await made.send("a", 2.0)
        await admin.write(admin.initial_record("a"), replace=True, event=SessionEvent.RESET)
        made.clock.now_s += 5
        await made.worker.watches.tell_owed("a")
        await made.send("a", 7.0)
        assert told.events == [(SessionEvent.RESET, 0)]
        assert told.brief == [(1, 1.0, 1.0, 0), (1, 7.0, 7.0, 0)]
        await made.send("a", 2.0)
        await admin.delete("a")
        made.clock.now_s += 5
        await made.worker.watches.tell_owed("a")
        await made.send("a", 3.0)
        assert told.events[1:] == [(SessionEvent.DELETED, 2)]
        assert told.brief[2:] == [(1, 3.0, 3.0, 0)]
        # Replaced without a word, at the same place as what is owed or another.
        await made.send("a", 4.0)
        copy = (await admin.read("a")).record
        await made.send("a", 4.0)
        await admin.write(copy, replace=True)
        made.clock.now_s += 5
        await made.worker.watches.tell_owed("a")
        assert told.brief[3:] == []


async def test_each_watch_has_its_own_pace_and_end():
    """One session, two watches; the session that nobody watches any more costs nothing."""
    async with bench() as made:
        slow, fast = Told(), Told()
        watches = made.worker.watches
        end_slow = watches.open("a", 1, slow)
        end_fast = watches.open("a", 50, fast)
        for _ in range(3):
            await made.send("a", 1.0)
        assert (len(slow.rows), len(fast.rows)) == (1, 3)
        end_slow()
        await made.send("a", 1.0)
        assert (len(slow.rows), len(fast.rows)) == (1, 4)
        end_fast()
        assert not watches.by_session
        assert not made.worker.residency._listeners
        await made.send("a", 1.0)
        assert len(fast.rows) == 4


async def test_watches_are_bounded():
    """Of each tenant and in all; one that ends makes room."""
    async with bench() as made:
        open_one = made.worker.watches.open
        ends = [open_one(f"{prefix_of('acme')}{n}", 1, Told()) for n in range(MAX_OF_EACH)]
        with pytest.raises(TooManyWatches):
            open_one(f"{prefix_of('acme')}more", 1, Told())
        ends.pop()()
        open_one(f"{prefix_of('acme')}more", 1, Told())
        for n in range(MAX_WATCHES - MAX_OF_EACH):
            open_one(f"{prefix_of(f't{n}')}s", 1, Told())
        with pytest.raises(TooManyWatches):
            open_one(f"{prefix_of('last')}s", 1, Told())
        assert not made.worker.table.in_use().size


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """One model that scores rows and one that does not."""
    path = tmp_path_factory.mktemp("repository")
    write_task_model(path, "watched")
    write_model(path, "plain")
    return path


async def _states(repository, name, frames, *, is_watched):
    """The bytes of two sessions' states after frames, and what a watch of the first told."""
    loader = ModelLoader(str(repository), "cpu", 1, 16)
    told = Told()
    with ThreadPoolExecutor(1) as executor:
        limits = Limits(1e9, 16, 16, 10_000, 4, StepLimits(5, 5_000))
        worker = SessionWorker(loader.load(loader.find(name, 0)), limits, SystemClock(), executor)
        task = asyncio.create_task(worker.run())
        if is_watched:
            worker.watches.open("a", 50, told)
        for lengths, values, reply, is_scored in frames:
            done = asyncio.get_running_loop().create_future()
            slots = np.array([worker.table.resolve(each) for each in ("a", "b")[: len(lengths)]])
            positions = np.full(len(lengths), NO_POSITION)
            frame = Frame(slots, np.array(lengths), positions, None, values, reply, done.set_result)
            frame.is_scored = is_scored
            worker.submit(frame)
            assert not (await done).result.errors
        while is_watched and told.rows[-1].position < sum(lengths[0] for lengths, *_ in frames):
            # The last of them is owed until the pace lets it be told.
            told.came.clear()
            await asyncio.wait_for(told.came.wait(), 30)
        states = [(await worker.admin.read(name)).record for name in ("a", "b")]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return [(each.states, each.position) for each in states], told


@pytest.mark.parametrize("name", ["watched", "plain"])
async def test_a_watched_session_is_bit_by_bit_what_it_is_unwatched(repository, name):
    """Whatever is asked for: single rows and chunks, on the loop's thread and another, scored or not."""
    random = np.random.default_rng(0)
    frames = []
    for number in range(24):
        lengths = [[1, 1], [1], [3, 2], [1, 20]][number % 4]
        is_scored = name == "watched" and number % 5 == 0
        values = 20 + random.normal(size=(sum(lengths), 2)).cumsum(axis=0)
        frames.append((lengths, values, list(Reply)[number % 3], is_scored))
    expected, _ = await _states(repository, name, frames, is_watched=False)
    found, told = await _states(repository, name, frames, is_watched=True)
    assert found == expected
    assert len(told.rows) > 8
    assert sum(1 + row.num_skipped for row in told.rows) == found[0][1]


async def test_what_is_told_is_what_callers_are_told(repository):
    """Forecast and scores of each row are those of a caller who asked for them, whatever was asked for."""
    random = np.random.default_rng(1)
    rows = 20 + random.normal(size=(9, 1, 2)).cumsum(axis=0)
    frames = [([1], row, list(Reply)[number % 3], number == 7) for number, row in enumerate(rows)]
    _, told = await _states(
        repository, "watched", [*frames, ([1, 1], rows[:2, 0], Reply.NONE, False)], is_watched=True
    )

    loader = ModelLoader(str(repository), "cpu", 1, 16)
    runner = loader.load(loader.find("watched", 0)).runner
    slots = np.array([0])
    for row, each in zip(rows, told.rows, strict=False):
        forecasts, scores = runner.score(slots, row[None])
        np.testing.assert_allclose(each.forecast, forecasts[0, -1], rtol=1e-5)
        np.testing.assert_allclose(each.score, scores[0, -1], rtol=1e-5)
    assert NO_TIME not in [row.time_us for row in told.rows]
    assert np.isfinite(told.rows[8].score).all()
