"""A stream: answers in the order of its messages, deadlines, overload, and its end."""

import asyncio

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from service.errors import Draining, InvalidRequest
from statecast.v1 import forecast_pb2 as pb
from tests.frames import forecasts_of, frame, opening
from tests.sum_service import SPREAD, sum_service, turns

INVALID, ABORTED, DEADLINE, FULL, INTERNAL = (
    int(getattr(grpc.StatusCode, name).value[0])
    for name in (
        "INVALID_ARGUMENT",
        "ABORTED",
        "DEADLINE_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "INTERNAL",
    )
)
# Enough rows to wait in slices.
HISTORY = 40


def names(*models):
    """A request that names sessions 0 to 3 of the first model, 4 to 7 of the second, and so on."""
    request = pb.StreamForecastsRequest()
    for index in range(4 * len(models)):
        request.sessions.add(handle=index, model=models[index // 4], session_id=f"s{index}")
    return request


def positions_of(response):
    """(N,)."""
    return np.frombuffer(response.positions, "<i8").tolist()


def codes_of(response):
    """By entry, why it was refused."""
    return {error.entry: error.code for error in response.entry_errors}


class Expected:
    """What a stream's messages come to, by adding up."""

    def __init__(self):
        self.totals, self.positions = [0.0] * 8, [0] * 8

    def advance(self, handle, values):
        """The forecast after rows that are applied."""
        self.totals[handle] += sum(values)
        self.positions[handle] += len(values)
        return self.totals[handle] + SPREAD

    def check(self, kind, handle, value, response):
        """Apply a message, and hold its answer against what that does."""
        at = self.positions[handle]
        if kind == "refused":
            assert response.frame_error.code == INVALID
            return
        if kind == "conflict":
            assert codes_of(response) == {0: ABORTED}
            assert response.entry_errors[0].committed_position == at
            assert positions_of(response) == [-1]
            return
        assert not response.entry_errors
        if kind == "frame":
            others = [other for other in _neighbours(handle) if other != handle]
            forecasts = {other: self.advance(other, [value]) for other in [handle, *others]}
            assert positions_of(response) == [self.positions[other] for other in _neighbours(handle)]
            for other, found in zip(_neighbours(handle), forecasts_of(response), strict=True):
                np.testing.assert_array_equal(found[0], forecasts[other])
            return
        skipped = kind == "duplicate" and at > 0
        rows = [] if skipped else [value] * (HISTORY if kind == "history" else 1)
        forecast = self.advance(handle, rows)
        assert positions_of(response) == [self.positions[handle]]
        assert response.num_skipped == ((1).to_bytes(4, "little") if skipped else b"")
        if kind == "silent":
            assert (response.num_forecasts, response.forecasts) == (bytes(4), b"")
            return
        horizon = 1 if kind == "short" else 2
        assert response.horizon == horizon
        np.testing.assert_array_equal(forecasts_of(response)[0][0], forecast[:horizon])


def _neighbours(handle):
    """The sessions of a frame: all of the handle's model."""
    return range(handle // 4 * 4, handle // 4 * 4 + 4)


def message(kind, handle, value, number):
    """A message of a kind."""
    match kind:
        case "row":
            return frame([handle], [value], number=number)
        case "short":
            return frame([handle], [value], number=number, horizon=1)
        case "silent":
            return frame([handle], [value], number=number, reply=pb.REPLY_NONE)
        case "duplicate":
            return frame([handle], [value], positions=[0], number=number)
        case "conflict":
            return frame([handle], [value], positions=[10**6], number=number)
        case "refused":
            return frame([handle], [value], horizon=9, number=number)
        case "history":
            return frame([handle], [value] * HISTORY, lengths=[HISTORY], number=number)
        case "frame":
            others = list(_neighbours(handle))
            return frame(others, [value] * len(others), number=number)
    raise AssertionError(kind)


KINDS = ["row", "row", "row", "short", "silent", "duplicate", "conflict", "refused", "history", "frame"]
MESSAGES = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 7), st.sampled_from([1.0, 2.5, -3.0])),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(MESSAGES, st.sampled_from([0, 3]), st.booleans())
def test_answers_come_in_the_order_of_messages_and_say_what_became_of_them(messages, max_inline_rows, held):
    """Rows, frames, histories and refusals of two models, some behind a held one: each in its place."""

    async def exchange():
        async with sum_service("one", "two", max_inline_rows=max_inline_rows) as made:
            if held:
                await made.hold("one")
            stream = made.stream()
            stream.send(names("one", "two"))
            stream.send(*(message(*what, number) for number, what in enumerate(messages)))
            await turns()
            made.release("one")
            return await stream.end()

    expected = Expected()
    responses = asyncio.run(exchange())
    assert [response.frame_id for response in responses] == list(range(len(messages)))
    for (kind, handle, value), response in zip(messages, responses, strict=True):
        expected.check(kind, handle, value, response)


async def test_answers_that_are_ready_wait_for_those_before_them():
    """While a model is held, another one's rows are applied, and their answers come after its own."""
    async with sum_service("one", "two") as made:
        await made.hold("one")
        stream = made.stream()
        stream.send(names("one", "two"))
        requests = [frame([4 * (number % 2)], [1.0], number=number) for number in range(10)]
        stream.send(*requests)
        await stream.are_read()
        probe = made.call(pb.ForecastRequest(model="two", session_id="s4", rows=[pb.Row(values=[1.0])]))
        assert (await probe).position == 6
        assert stream.answers() == []
        made.release("one")
        assert [response.frame_id for response in await stream.end()] == list(range(10))


async def test_messages_beyond_those_under_way_stay_unread():
    """A sender that does not wait for answers is slowed down; all it sent is answered in the end."""
    async with sum_service() as made:
        await made.hold()
        stream = made.stream()
        stream.send(names("sum"), *(frame([number % 4], [1.0], number=number) for number in range(100)))
        await turns()
        assert stream.num_unread == 100 - 32
        made.release()
        assert [response.frame_id for response in await stream.end()] == list(range(100))


async def test_a_handle_that_is_named_again_is_another_session():
    """Rows of the same shape go to the session that the handle has now, of any model."""
    async with sum_service("one", "two") as made:
        stream = made.stream()
        for index, (model, session_id) in enumerate([("one", "a"), ("one", "b"), ("two", "a"), ("one", "a")]):
            stream.send(opening(model, session_id))
            stream.send(*(frame([0], [10.0**index], number=number) for number in range(2)))
        totals = [float(forecasts_of(response)[0][0][0, 0]) for response in await stream.end()]
        assert totals == [1, 2, 10, 20, 100, 200, 1002, 2002]
        assert made.standing("a", "two").position == 2


async def test_a_handle_that_went_to_another_model_is_none_of_the_first_any_more():
    """A frame of the first model that still uses it has that entry refused, and the old session stands."""
    async with sum_service("one", "two") as made:
        stream = made.stream()
        stream.send(names("one"), frame([0, 1], [1.0, 1.0]))
        request = pb.StreamForecastsRequest()
        request.sessions.add(handle=1, model="two", session_id="s1")
        stream.send(request, frame([0, 1], [1.0, 1.0]), frame([1], [5.0]))
        _, mixed, moved = await stream.end()
        assert codes_of(mixed) == {1: INVALID}
        assert positions_of(mixed) == [2, -1]
        assert positions_of(moved) == [1]
        assert made.standing("s1", "one").position == 1
        assert made.standing("s1", "two").position == 1


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (frame([0], [1.0, 2.0]), "frame.values"),
        (frame([0], [1.0], horizon=3), "horizon"),
        (frame([9], [1.0]), "frame.handles"),
    ],
)
async def test_a_row_that_the_model_does_not_take_is_refused_however_often_it_comes(bad, field):
    """Its shape is known from the first time; it is told each time."""
    async with sum_service() as made:
        stream = made.stream()
        stream.send(names("sum"), *[bad] * 3, frame([0], [1.0], number=2))
        *refused, good = await stream.end()
        assert [response.frame_error.field for response in refused] == [field] * 3
        assert [response.frame_error.code for response in refused] == [INVALID] * 3
        assert positions_of(good) == [1]


async def test_rows_of_sessions_beyond_the_last_slot_are_refused():
    """Each is told that nobody need try again by himself, and the others go on."""
    async with sum_service(max_sessions=2) as made:
        stream = made.stream()
        stream.send(names("sum"), *(frame([handle], [1.0], number=handle) for handle in (0, 1, 2, 3, 0)))
        responses = await stream.end()
        assert [codes_of(response) for response in responses] == [{}, {}, {0: FULL}, {0: FULL}, {}]
        assert [error.retry_after_ms for response in responses for error in response.entry_errors] == [-1, -1]
        assert positions_of(responses[-1]) == [2]


async def test_what_is_no_message_ends_the_stream_after_its_answers():
    """Bytes that protobuf refuses, even of a known size, are no row."""
    async with sum_service() as made:
        stream = made.stream()
        good = frame([0], [1.0]).SerializeToString()
        stream.send(names("sum"), good, good, b"\xff" * len(good), good)
        with pytest.raises(InvalidRequest, match="message"):
            await stream.end()
        assert [positions_of(response) for response in stream.answers()] == [[1], [2]]


async def test_a_stream_that_is_not_read_any_more_answers_what_it_has_read():
    """What comes later is not taken, and the caller learns that the server is going away."""
    async with sum_service() as made:
        await made.hold()
        stream = made.stream()
        stream.send(names("sum"), *(frame([0], [1.0], number=number) for number in range(3)))
        await stream.are_read()
        stream.stop_reading()
        stream.send(frame([0], [1.0], number=3))
        await turns()
        made.release()
        with pytest.raises(Draining):
            await stream.end()
        assert [response.frame_id for response in stream.answers()] == [0, 1, 2]
        assert made.standing("s0").position == 3


async def test_what_waits_on_a_stream_that_is_gone_is_not_applied():
    """Rows, frames and histories that no batch has taken go without a trace, and the server goes on."""
    async with sum_service(max_inline_rows=1) as made:
        stream = made.stream()
        stream.send(names("sum"), frame([0], [1.0]), frame([0], [1.0]))
        await stream.are_read()
        await turns()
        await made.hold()
        stream.send(
            frame([1], [1.0]),
            frame([1], [1.0]),
            frame([1, 2], [1.0, 1.0]),
            frame([3], [1.0] * HISTORY, lengths=[HISTORY]),
            frame([2], [1.0]),
        )
        await stream.are_read()
        await stream.drop()
        made.release()
        await asyncio.gather(*made.held)
        await turns()
        assert [positions_of(response) for response in stream.answers()] == [[1], [2]]
        assert made.runner.shapes == [(1, 1), (1, 1), (1, 2)]
        for session_id in ("s1", "s2", "s3"):
            assert made.standing(session_id) is None


@pytest.mark.parametrize("fails", [False, True])
async def test_a_run_that_has_begun_for_a_stream_that_is_gone_commits(fails):
    """Or fails, as a whole; either way nothing is written to a caller who has left."""
    async with sum_service() as made:
        stream, other = made.stream(), made.stream()
        stream.send(names("sum"), frame([0], [1.0]))
        other.send(names("sum"), frame([3], [1.0]))
        await stream.are_read()
        await other.are_read()
        first = await made.call(unary(1))
        made.runner.gate.clear()
        made.runner.entered.clear()
        made.runner.fail_on = {len(made.runner.batches) + 1} if fails else set()
        stream.send(frame([0], [1.0]))
        other.send(frame([1, 2], [1.0, 1.0]))
        await asyncio.to_thread(made.runner.entered.wait)
        await stream.drop()
        await other.drop()
        made.release()
        with capture_logs():
            assert (await made.call(unary(1))).position == first.position + 1
        assert [len(each.answers()) for each in (stream, other)] == [1, 1]
        assert made.standing("s0").position == (1 if fails else 2)


def unary(num_rows, session_id="unary"):
    """A call of so many rows."""
    return pb.ForecastRequest(model="sum", session_id=session_id, rows=[pb.Row(values=[1.0])] * num_rows)


@pytest.mark.parametrize("now_s", [10.0, 10.1])
async def test_what_waits_until_after_its_deadline_is_refused_and_not_computed(now_s):
    """Rows, frames and calls behind a held runner: at the deadline they still run, after it they do not."""
    is_late = now_s > 10.0
    async with sum_service() as made:
        await made.hold()
        hurried, patient = made.stream(deadline_s=10.0), made.stream()
        for stream in (hurried, patient):
            stream.send(names("sum"))
        hurried.send(frame([0], [1.0], number=1), frame([1], [1.0], number=2), frame([2], [1.0], number=3))
        await hurried.are_read()
        calls = [
            made.call(unary(1, "a"), 10.0),
            made.call(unary(2, "b"), 10.0),
            made.call(unary(20, "c"), 10.0),
        ]
        await turns()
        hurried.send(frame([0, 3], [1.0, 1.0], number=4), frame([3], [1.0] * 20, lengths=[20], number=5))
        patient.send(frame([2], [5.0], number=1), frame([2], [5.0], number=2))
        await hurried.are_read()
        await patient.are_read()
        made.clock.now_s = now_s
        made.release()
        found = [codes_of(response) for response in await hurried.end()]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        answered = [positions_of(response) for response in await patient.end()]
        if is_late:
            assert found == [
                {0: DEADLINE},
                {0: DEADLINE},
                {0: DEADLINE},
                {0: DEADLINE, 1: DEADLINE},
                {0: DEADLINE},
            ]
            assert [type(outcome).__name__ for outcome in outcomes] == ["DeadlinePassed"] * 3
            assert answered == [[1], [2]]
            # The row that was held, and the two of whoever was patient.
            assert made.runner.shapes == [(1, 1)] * 3
            assert len(made.worker.table) == 2
        else:
            assert found == [{}] * 5
            assert [outcome.position for outcome in outcomes] == [1, 2, 20]
            assert answered == [[2], [3]]


@pytest.mark.parametrize("reply", [pb.REPLY_NONE, pb.REPLY_LAST, pb.REPLY_EACH])
async def test_a_history_past_its_deadline_stands_after_a_slice(reply):
    """The slices before it are kept, its answer says where it stands, and a resend makes it whole."""
    async with sum_service() as made:
        await made.hold()
        _tick_at_each_step(made, 0.001)
        hurried = made.stream(deadline_s=0.0105)
        request = frame([0, 1], [1.0] * 501, lengths=[500, 1], positions=[0, -1], number=9, reply=reply)
        hurried.send(names("sum"), request)
        await hurried.are_read()
        made.release()
        (response,) = await hurried.end()
        position = made.standing("s0").position
        assert 0 < position < 500
        assert {num_steps for _, num_steps in made.runner.shapes} == {1, 16}
        assert position % 16 == 0
        assert codes_of(response) == {0: DEADLINE}
        assert positions_of(response) == [position, 1]
        num_forecasts = [0, int(reply != pb.REPLY_NONE)]
        assert [len(each) for each in forecasts_of(response)] == num_forecasts
        assert len(np.frombuffer(response.forecast_positions, "<i8")) in (0, sum(num_forecasts))

        patient = made.stream()
        whole = frame([0], [1.0] * 500, lengths=[500], positions=[0])
        patient.send(names("sum"), whole)
        (response,) = await patient.end()
        assert positions_of(response) == [500]
        assert np.frombuffer(response.num_skipped, "<u4") == [position]
        np.testing.assert_array_equal(forecasts_of(response)[0][0], 500 + SPREAD)


@pytest.mark.parametrize("reply", [pb.REPLY_NONE, pb.REPLY_LAST, pb.REPLY_EACH])
async def test_a_history_that_fails_half_way_has_no_forecasts(reply):
    """Neither of the slices that went well nor in place of its neighbours'."""
    async with sum_service() as made:
        await made.hold()
        _tick_at_each_step(made, 0.001)
        made.runner.fail_on = {4}
        stream = made.stream()
        stream.send(names("sum"), frame([0, 1], [1.0] * 500 + [7.0], lengths=[500, 1], reply=reply))
        await stream.are_read()
        made.release()
        with capture_logs():
            (response,) = await stream.end()
        assert codes_of(response) == {0: INTERNAL}
        num_forecasts = [0, int(reply != pb.REPLY_NONE)]
        forecasts = forecasts_of(response)
        assert [len(each) for each in forecasts] == num_forecasts
        if num_forecasts[1]:
            np.testing.assert_array_equal(forecasts[1][0], 7 + SPREAD)


def _tick_at_each_step(made, tick_s):
    """The clock moves with the runner: little enough for single steps to count as recent."""

    def tick(_number):
        made.clock.now_s += tick_s

    made.runner.before_step = tick


async def test_frames_for_which_there_is_no_room_are_refused_in_the_same_bytes():
    """Whatever is refused, rows or frames, says the same apart from its id: what to do, and when."""
    async with sum_service(max_queued_rows=3) as made:
        await made.hold()
        stream = made.stream()
        stream.send(names("sum"), frame([0], [1.0], number=1), frame([1], [1.0], number=2))
        ids = [0, 5, 300, 2**64 - 1]
        stream.send(*(frame([2], [1.0], number=number) for number in ids))
        stream.send(*(frame([2, 3], [1.0, 1.0], number=number) for number in ids))
        await stream.are_read()
        made.release()
        first, second, *refused = await stream.end()
        assert [positions_of(response) for response in (first, second)] == [[1], [1]]
        assert [response.frame_id for response in refused] == ids * 2
        own_ids = [pb.StreamForecastsResponse(frame_id=number).SerializeToString() for number in ids * 2]
        messages = stream.raw()[2:]
        assert all(raw.startswith(own_id) for raw, own_id in zip(messages, own_ids, strict=True))
        assert len({raw[len(own_id) :] for raw, own_id in zip(messages, own_ids, strict=True)}) == 1
        told = refused[0].frame_error
        assert (told.code, told.retry_after_ms, told.field) == (FULL, 100, "")
        assert "max_queued_rows" in told.message
        assert made.runner.shapes == [(1, 1), (2, 1)]


async def test_a_frame_larger_than_the_whole_queue_passes_when_nothing_waits():
    """Or it never would; behind anything it is refused."""
    async with sum_service(max_queued_rows=3) as made:
        large = frame([0], [1.0] * 10, lengths=[10])
        stream = made.stream()
        stream.send(names("sum"), large, large)
        responses = await stream.end()
        assert [response.frame_error.code for response in responses] == [0, FULL]
