"""Single rows: alone or collected, they do what frames of one row do."""

import asyncio
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from service.engine.runner import Reply
from service.errors import (
    DeadlinePassed,
    EngineFailure,
    InvalidRequest,
    PositionConflict,
    QueueFull,
    TooManySessions,
)
from service.rpc.single_rows import SingleRow
from service.sessions.frame import NO_POSITION, Frame
from service.store.contract import NO_TIME
from statecast.v1 import forecast_pb2 as pb
from tests.sum_service import HOUR_US, SPREAD, TTL_S, sum_service, turns

START_US = 1_700_000_000_000_000


class ToldRow(SingleRow):
    """A row that keeps what it was told, once."""

    def __init__(self, *args):
        super().__init__(*args)
        self.told = None
        self.is_told = asyncio.Event()

    def settled(self, position, forecast, counts):
        """See `SingleRow.settled`."""
        self._tell((position, forecast, tuple(counts)))

    def refused(self, error):
        """See `SingleRow.refused`."""
        self._tell(error)

    def _tell(self, outcome):
        assert self.told is None, "told twice"
        self.told = outcome
        self.is_told.set()


def add(
    service, session_id, value=1.0, position=NO_POSITION, time_us=NO_TIME, reply=Reply.LAST, until=math.inf
):
    """Give the service a row, as a call does."""
    rows = service.rows["sum"]
    rows.check_room()
    slot = service.worker.table.resolve(session_id)
    row = ToldRow(slot, position, time_us, [value], reply, until)
    rows.add(row)
    return row


async def settled(*rows):
    """What rows were told."""
    for row in rows:
        await row.is_told.wait()
    return [row.told for row in rows]


def submit(service, session_id, value=1.0, position=NO_POSITION, time_us=NO_TIME, reply=Reply.LAST):
    """The same as a frame of one row; a future of what a row would be told."""
    done = asyncio.get_running_loop().create_future()

    def settle(frame):
        result = frame.result
        if result.errors:
            done.set_result(result.errors[0])
            return
        forecast = None if result.dense is None else result.dense[0].tobytes()
        done.set_result((int(result.positions[0]), forecast, tuple(result.counts[:, 0].tolist())))

    times = None if time_us == NO_TIME else np.array([time_us])
    slots = np.array([service.worker.table.resolve(session_id)])
    values = np.array([[value]])
    service.worker.submit(Frame(slots, np.array([1]), np.array([position]), times, values, reply, settle))
    return done


def sent(total, num_rows=1, counts=(0, 0, 0)):
    """What a row is told after which its session's values add up to `total`."""
    return num_rows, (total + SPREAD).astype(np.float32).tobytes(), counts


ROWS = st.fixed_dictionaries(
    {
        "session_id": st.sampled_from("abc"),
        "value": st.sampled_from([1.0, 2.5, -3.0, math.nan]),
        "position": st.sampled_from([None, "next", "next", "before", "long before", "ahead"]),
        "hours": st.sampled_from([None, 1, 1, 1.3, 0, -2, 0.2, 3, 50]),
        "reply": st.sampled_from([Reply.NONE, Reply.LAST]),
        "fails": st.sampled_from([False, False, False, True]),
        "rest_s": st.sampled_from([0, 0, 0, 1, TTL_S, TTL_S + 1]),
    }
)


class Twins:
    """Two services that are sent the same rows: one of them alone, the other one as frames."""

    def __init__(self, alone, framed, seen):
        self.alone, self.framed, self.seen = alone, framed, seen
        self.tips = {}

    async def send(self, session_id, value, position, hours, reply, fails, rest_s):
        """One row to each, after a while; both do the same."""
        for service in (self.alone, self.framed):
            service.clock.now_s += rest_s
            service.runner.fail_on = {len(service.runner.batches) + 1} if fails else set()
        row = {"value": value, "position": self._position(session_id, position), "reply": reply}
        row["time_us"] = self._time_us(session_id, hours)
        num_alone, found = self.alone.worker.num_alone, await self._send_alone(session_id, row)
        expected = await self._send_framed(session_id, row)
        self.seen["alone"] += self.alone.worker.num_alone - num_alone
        self._look(session_id, found)
        assert plain(found) == plain(expected)
        self.check()

    def check(self):
        """Tables and models stand alike, and each is whole."""
        found, expected = self.alone, self.framed
        for name in ("positions", "last_times_us", "num_waiting", "generations"):
            columns = [getattr(service.worker.table, name) for service in (found, expected)]
            np.testing.assert_array_equal(*columns)
        assert len(found.worker.table) == len(expected.worker.table)
        assert found.runner.batches == expected.runner.batches
        assert found.runner.shapes == expected.runner.shapes
        slots = np.arange(found.runner.arena.capacity)
        np.testing.assert_array_equal(
            found.runner.states(slots)["total"], expected.runner.states(slots)["total"]
        )
        for session_id in "abc":
            assert found.standing(session_id) == expected.standing(session_id)
        found.check_idle()
        expected.check_idle()

    async def _send_alone(self, session_id, row):
        try:
            (told,) = await settled(add(self.alone, session_id, **row))
        except TooManySessions as error:
            return error
        return told

    async def _send_framed(self, session_id, row):
        try:
            return await submit(self.framed, session_id, **row)
        except TooManySessions as error:
            return error

    def _position(self, session_id, place):
        if place is None:
            return NO_POSITION
        known = self.framed.standing(session_id)
        at = known.position if known else 0
        return {"next": at, "before": max(at - 1, 0), "long before": 0, "ahead": at + 2}[place]

    def _time_us(self, session_id, hours):
        """Microseconds, so many hours after the latest time that was sent."""
        if hours is None:
            return NO_TIME
        time_us = self.tips.get(session_id, START_US) + int(hours * HOUR_US)
        self.tips[session_id] = max(time_us, self.tips.get(session_id, time_us))
        return time_us

    def _look(self, session_id, told):
        if isinstance(told, Exception):
            self.seen[type(told).__name__] += 1
            if self.alone.standing(session_id) is None:
                self.seen["a newcomer refused"] += 1
            return
        for name, count in zip(("skipped", "late", "missing"), told[2], strict=True):
            self.seen[name] += bool(count)
        self.seen["begun again"] += told[0] == 1 and self.alone.worker.table.generations.any()


def plain(told):
    """What can be compared; each failure has an id of its own."""
    if isinstance(told, EngineFailure):
        return EngineFailure
    return (type(told), str(told)) if isinstance(told, Exception) else told


# What the examples must have met; a change that keeps them from it hides what the test is for.
MUST_SEE = {
    "alone",
    "skipped",
    "late",
    "missing",
    "begun again",
    "a newcomer refused",
    "EngineFailure",
    "PositionConflict",
    "TooManySessions",
}


def test_whatever_a_lone_row_does_a_frame_of_one_row_does():
    """Outcomes, positions, times, states, runs and slots are the same after each row of any sequence."""
    seen = Counter()

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.lists(ROWS, min_size=1, max_size=25))
    def hold(rows):
        with capture_logs():
            asyncio.run(compare(rows, seen))

    hold()
    assert {name for name, count in seen.items() if count} >= MUST_SEE


async def compare(rows, seen):
    """Send rows both ways."""
    options = {"max_sessions": 2, "max_inline_rows": 1}
    async with sum_service(**options) as alone, sum_service(**options) as framed:
        twins = Twins(alone, framed, seen)
        for row in rows:
            await twins.send(**row)


async def test_plain_rows_are_applied_alone():
    """Without position or time, at the committed position, at the next time: no frame is made of them."""
    async with sum_service() as made:
        assert await settled(add(made, "a", 1.0)) == [sent(1.0, 1)]
        assert await settled(add(made, "a", 2.0, position=1)) == [sent(3.0, 2)]
        assert await settled(add(made, "a", 3.0, reply=Reply.NONE)) == [(3, None, (0, 0, 0))]
        assert made.worker.num_alone == 3
        # The first time of a session has none to be next to.
        assert await settled(add(made, "a", 4.0, time_us=START_US)) == [sent(10.0, 4)]
        assert made.worker.num_alone == 3
        assert await settled(add(made, "a", 5.0, time_us=START_US + HOUR_US)) == [sent(15.0, 5)]
        assert made.worker.num_alone == 4
        assert made.standing("a").last_time_us == START_US + HOUR_US


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"position": 0}, sent(1.0, 1, (1, 0, 0))),
        ({"time_us": START_US}, sent(1.0, 2, (0, 1, 0))),
        ({"time_us": START_US + 3 * HOUR_US}, sent(9.0, 2, (0, 0, 2))),
    ],
)
async def test_rows_that_are_not_plain_are_told_what_became_of_them(row, expected):
    """A row skipped, late or after a gap has its count, and the forecast of its session."""
    async with sum_service() as made:
        await settled(add(made, "a", 1.0, time_us=START_US))
        assert await settled(add(made, "a", 8.0, **row)) == [expected]
        assert made.worker.num_alone == 0


@pytest.mark.parametrize("failure", [PositionConflict, EngineFailure, DeadlinePassed])
async def test_a_refused_row_of_a_new_session_leaves_no_slot(failure):
    """The only slot there is goes to the next session, in the initial state."""
    async with sum_service(max_sessions=1) as made:
        made.clock.now_s = 5.0
        made.runner.fail_on = {1} if failure is EngineFailure else set()
        position = 3 if failure is PositionConflict else NO_POSITION
        until = 4.0 if failure is DeadlinePassed else math.inf
        (error,) = await settled(add(made, "refused", 100.0, position, until=until))
        assert type(error) is failure
        made.check_idle()
        assert made.standing("refused") is None
        assert await settled(add(made, "next", 1.0)) == [sent(1.0)]


async def test_rows_that_come_together_run_together():
    """Rows of several sessions share a batch, and each is told its own outcome."""
    async with sum_service() as made:
        await settled(add(made, "b"))
        rows = [add(made, "a", 5.0), add(made, "b", 7.0, position=0), add(made, "c", position=9)]
        kept, skipped, refused = await settled(*rows)
        assert (kept, skipped) == (sent(5.0), sent(1.0, 1, (1, 0, 0)))
        assert type(refused) is PositionConflict
        assert [len(batch) for batch in made.runner.batches] == [1, 1]
        assert made.worker.num_alone == 1


async def test_rows_of_one_session_apply_in_the_order_they_came():
    """The second waits for the first, whatever each wants back, and other sessions wait for neither."""
    async with sum_service() as made:
        replies = [Reply.LAST, Reply.NONE, Reply.LAST, Reply.LAST]
        rows = [add(made, "a", 10.0**index, reply=reply) for index, reply in enumerate(replies)]
        other = add(made, "b", 5.0)
        told = await settled(*rows, other)
        assert told == [sent(1.0, 1), (2, None, (0, 0, 0)), sent(111.0, 3), sent(1111.0, 4), sent(5.0)]
        assert [len(batch) for batch in made.runner.batches] == [2, 1, 1, 1]


async def test_rows_of_both_replies_share_a_batch():
    """Who wants no forecast gets none, beside those who want one."""
    async with sum_service() as made:
        told = await settled(add(made, "a", 5.0, reply=Reply.NONE), add(made, "b", 6.0))
        assert told == [(1, None, (0, 0, 0)), sent(6.0)]


async def test_a_dropped_row_is_not_applied_and_nobody_is_told():
    """Alone, among others, and behind another of its session."""
    async with sum_service() as made:
        alone = add(made, "a", 100.0)
        alone.drop()
        await turns()
        made.check_idle()
        assert made.standing("a") is None
        first, second, other = add(made, "a", 1.0), add(made, "a", 100.0), add(made, "b", 5.0)
        among = add(made, "c", 100.0)
        second.drop()
        among.drop()
        assert await settled(first, other) == [sent(1.0), sent(5.0)]
        await turns()
        assert [row.told for row in (alone, second, among)] == [None] * 3
        assert made.standing("a").position == 1
        assert made.standing("c") is None


async def test_a_row_dropped_inside_a_run_still_commits():
    """The session stands after it, and nobody is told."""
    async with sum_service() as made:
        made.runner.gate.clear()
        made.runner.entered.clear()
        rows = [add(made, "a", 5.0), add(made, "b", 6.0)]
        await asyncio.to_thread(made.runner.entered.wait)
        rows[0].drop()
        made.release()
        await settled(rows[1])
        assert rows[0].told is None
        assert made.standing("a").position == 1


async def test_a_row_past_its_deadline_is_refused_and_those_beside_it_are_not():
    """Each row has its own deadline."""
    async with sum_service() as made:
        made.clock.now_s = 5.0
        untils = [4.9, 5.0, 5.1, 1.0]
        rows = [add(made, name, 3.0, until=until) for name, until in zip("abcd", untils, strict=True)]
        told = await settled(*rows)
        assert [type(outcome) for outcome in told] == [DeadlinePassed, tuple, tuple, DeadlinePassed]
        assert made.runner.shapes == [(2, 1)]
        assert [made.standing(name) is None for name in "abcd"] == [True, False, False, True]


async def test_a_failed_batch_is_told_to_each_row():
    """Every session stands before its row, and a resend applies it."""
    async with sum_service() as made:
        made.runner.fail_on = {1}
        told = await settled(*(add(made, name, 2.0) for name in "ab"))
        assert [type(outcome) for outcome in told] == [EngineFailure] * 2
        made.check_idle()
        assert len(made.worker.table) == 0
        assert await settled(*(add(made, name, 2.0) for name in "ab")) == [sent(2.0)] * 2


async def test_a_session_does_not_expire_while_its_row_waits():
    """A newcomer that looks for idle sessions leaves it alone."""
    async with sum_service(max_sessions=2) as made:
        await settled(add(made, "a", 1.0))
        made.clock.now_s = TTL_S
        waiting = add(made, "a", 2.0)
        made.clock.now_s = 2 * TTL_S
        newcomer = add(made, "b", 5.0)
        assert await settled(waiting, newcomer) == [sent(3.0, 2), sent(5.0)]


@pytest.mark.parametrize("num_before", [0, 1])
async def test_rows_that_are_collected_count_as_waiting(num_before):
    """However many come before a batch is taken, no more than the bound are let in."""
    async with sum_service(max_queued_rows=10) as made:
        waiting = [submit(made, "before") for _ in range(num_before)]
        rows = [add(made, f"s{number}") for number in range(10 - num_before)]
        with pytest.raises(QueueFull):
            add(made, "one too many")
        await asyncio.gather(*waiting)
        await settled(*rows)
        assert made.standing("one too many") is None
        await settled(add(made, "later"))


async def test_a_call_of_many_rows_counts_those_collected_before_it():
    """It is refused where they leave no room for it."""
    async with sum_service(max_queued_rows=10) as made:
        rows = [add(made, f"s{number}") for number in range(5)]
        call = made.call(pb.ForecastRequest(model="sum", session_id="a", rows=[pb.Row(values=[1])] * 6))
        with pytest.raises(QueueFull):
            await call
        await settled(*rows)


@pytest.mark.parametrize("num_rows", [1, 2])
@pytest.mark.parametrize("position", [2**63, 2**64 - 1])
async def test_a_position_that_no_session_can_have_is_refused(num_rows, position):
    """One call with such a position is told so, and the server goes on."""
    async with sum_service(max_inline_rows=2) as made:
        rows = [pb.Row(values=[1])] * num_rows
        request = pb.ForecastRequest(model="sum", session_id="a", rows=rows, position=position)
        call = made.call(request)
        await turns()
        assert call.done()
        with pytest.raises(InvalidRequest, match=f"position: .* found {position}"):
            call.result()
        request.position = 2**63 - 1
        with pytest.raises(PositionConflict):
            await made.call(request)
        assert made.standing("a") is None
        assert await settled(add(made, "a")) == [sent(1.0)]
