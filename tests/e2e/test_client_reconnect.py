"""Broken connections, lost replies, overload: each row is applied exactly once, by both clients.

Each test is written once and runs with the blocking and the awaiting client.
"""

import asyncio
from dataclasses import replace

import grpc
import numpy as np
import pytest

import statecast
from statecast import InvalidRequest, Overloaded, PositionConflict, Unacknowledged, Unavailable
from tests.both_clients import Awaiting, Blocking, arrival, entered, now
from tests.fake_server import FATAL_VALUE, LOSE_REPLY, MODEL, REFUSED_VALUE, FakeServer, Fault

GONE = Fault()
CANCELLED_AFTER_COMMIT = Fault(grpc.StatusCode.CANCELLED, after_commit=True)
LATE_AFTER_COMMIT = Fault(grpc.StatusCode.DEADLINE_EXCEEDED, after_commit=True)
BUSY = Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, trailers=(("grpc-retry-pushback-ms", "20"),))
BUSY_FOR_EVER = Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, trailers=(("grpc-retry-pushback-ms", "-1"),))
BUSY_FRAME = Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, in_frame=True)
TAKEN_OVER = Fault(grpc.StatusCode.ABORTED, trailers=(("grpc-retry-pushback-ms", "0"),))
TAKEN_OVER_ENTRY = replace(TAKEN_OVER, in_frame=True, entry=1)
BUSY_ENTRY = Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, in_frame=True, entry=1)


@pytest.fixture
def server():
    running = FakeServer()
    yield running
    running.stop()


@pytest.fixture(params=[Blocking, Awaiting], ids=["sync", "async"])
def kind(request):
    return request.param


@pytest.fixture
async def client(kind, server):
    async with entered(kind.client(server.target)) as opened:
        yield opened


@pytest.fixture
async def hasty(kind, server):
    """A client that gives up soon."""
    async with entered(kind.client(server.target, retry_budget_s=0.1)) as opened:
        yield opened


@pytest.mark.parametrize(
    "fault", [LOSE_REPLY, CANCELLED_AFTER_COMMIT, LATE_AFTER_COMMIT], ids=lambda fault: fault.code.name
)
async def test_a_row_whose_reply_was_lost_is_not_doubled(server, client, fault):
    """The row is sent again at its position, and skipped."""
    session = client.session(MODEL, "a")
    server.faults.append(fault)
    result = await now(session.forecast(5))
    assert (result.position, result.num_skipped) == (1, 1)
    assert server.values("a") == [5]
    assert server.calls == ["GetSession", "Forecast", "Forecast"]
    np.testing.assert_allclose(result.forecast.median, [5.5, 6.5, 7.5])


async def test_a_row_that_never_came_is_not_lost(server, client):
    """The row is sent until it is applied."""
    session = client.session(MODEL, "a")
    server.faults.extend([GONE, GONE, GONE])
    assert (await now(session.forecast([1, 2]))).num_skipped == 0
    assert server.values("a") == [1, 2]


async def test_a_session_goes_on_where_another_client_left_it(server, kind, client):
    """The position is learnt from the server at the first use, not assumed."""
    await now(client.session(MODEL, "a").observe([1, 2]))
    async with entered(kind.client(server.target)) as other:
        session = other.session(MODEL, "a")
        assert session.position is None
        assert (await now(session.forecast(3))).num_skipped == 0
        assert session.position == 3
    assert server.values("a") == [1, 2, 3]


async def test_a_server_that_comes_back_is_found_again(server, kind, client):
    """Connections drop while a row is on its way; it is applied once, whatever became of it then."""
    session = client.session(MODEL, "a")
    await now(session.observe(1))
    await arrival(server)  # GetSession is not counted: it does not pass the gate
    server.gate.clear()
    call = kind.start(session.forecast, 2)
    await arrival(server)
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)
    assert (await call).position == 2
    assert server.values("a") == [1, 2]


async def test_an_overloaded_server_is_waited_for(server, client):
    """The delay it asks for is obeyed, then the row is applied."""
    session = client.session(MODEL, "a")
    server.faults.extend([BUSY, BUSY])
    assert (await now(session.forecast(1))).position == 1
    assert server.values("a") == [1]


async def test_a_session_that_another_replica_took_is_asked_for_again(server, client):
    """The row was not applied there, so it is sent again by itself."""
    session = client.session(MODEL, "a")
    server.faults.extend([TAKEN_OVER, TAKEN_OVER])
    assert (await now(session.forecast(1))).position == 1
    assert server.values("a") == [1]


async def test_a_delay_beyond_the_budget_is_reported_at_once(server, hasty):
    """There is no use in waiting for less than was asked; the row is not in doubt."""
    session = hasty.session(MODEL, "a")
    trailers = (("grpc-retry-pushback-ms", "60000"),)
    server.faults.append(Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, trailers=trailers))
    with pytest.raises(Overloaded) as caught:
        await now(session.forecast(1))
    assert caught.value.retry_after_s == 60
    await now(session.forecast(2))
    assert server.values("a") == [2]


async def test_a_server_that_stays_away_is_unavailable(server, hasty):
    """Once the budget is spent the caller learns it."""
    await asyncio.to_thread(server.stop)
    with pytest.raises(Unavailable):
        await now(hasty.session(MODEL, "a").forecast(1))
    with pytest.raises(Unavailable):
        async with entered(hasty.stream(MODEL)) as stream:
            await now(stream.forecast({"a": 1}))
    await asyncio.to_thread(server.start)


@pytest.mark.parametrize("fault", [LOSE_REPLY, GONE], ids=["applied", "not applied"])
@pytest.mark.parametrize("follow_up", [7, 8], ids=["the same row", "the next row"])
async def test_rows_in_doubt_come_first(server, kind, fault, follow_up):
    """A row whose call failed is applied once: by the same call made again, or before the next row."""
    async with entered(kind.client(server.target, retry_budget_s=0)) as client:
        session = client.session(MODEL, "a")
        server.faults.append(fault)
        with pytest.raises(Unavailable):
            await now(session.forecast(7))
        await now(session.forecast(follow_up))
    assert server.values("a") == ([7] if follow_up == 7 else [7, 8])
    assert session.position == len(server.values("a"))


async def test_an_answer_that_never_comes_is_unacknowledged(server, kind):
    """A deadline ends the wait; the row stays in doubt and is not doubled."""
    async with entered(kind.client(server.target, retry_budget_s=0, attempt_timeout_s=0.2)) as client:
        session = client.session(MODEL, "a")
        await now(session.observe(1))
        server.gate.clear()
        with pytest.raises(Unacknowledged):
            await now(session.forecast(2))
        async with entered(client.stream(MODEL)) as stream:
            with pytest.raises(Unacknowledged):
                await now(stream.forecast({"b": 1}))
            server.gate.set()
            pending = await now(stream.submit(["b"], [2]))
            await now(pending.result())
        await now(session.forecast(2))
    assert server.values("a") == [1, 2]
    assert server.values("b") == [1, 2]


async def test_a_refused_row_leaves_the_session_as_it_was(server, client):
    """The error names the field, and the next row applies in its stead."""
    session = client.session(MODEL, "a")
    await now(session.observe(1))
    with pytest.raises(InvalidRequest) as caught:
        await now(session.forecast(REFUSED_VALUE))
    assert caught.value.field == "rows[0].values"
    await now(session.forecast(2))
    assert server.values("a") == [1, 2]


async def test_a_session_the_server_lost_is_a_conflict(server, client):
    """The caller decides what to do about lost history; taking the server's position starts afresh."""
    session = client.session(MODEL, "a")
    stream_context = client.stream(MODEL)
    await now(session.observe([1, 2]))
    async with entered(stream_context) as stream:
        await now(stream.open(["a"]))
        server.sessions.clear()
        with pytest.raises(PositionConflict) as caught:
            await now(session.forecast(3))
        assert caught.value.committed_position == 0
        refused = (await now(stream.forecast({"a": 3})))["a"]
        assert isinstance(refused, PositionConflict)
        assert refused.committed_position == 0
        assert await now(session.refresh()) == 0
        await now(session.forecast(4))
        assert await now(stream.refresh(["a"])) == [1]
        await now(stream.forecast({"a": 5}))
    assert server.values("a") == [4, 5]


async def test_a_deleted_session_starts_over(server, client):
    """Deleting what is not there is no error."""
    session = client.session(MODEL, "a")
    await now(session.delete())
    await now(session.observe([1, 2]))
    await now(session.delete())
    assert (await now(session.forecast(3))).position == 1


async def submitted(stream, numbers, sessions=("a", "b")):
    """One frame a number, a row of it for each session; none is waited for."""
    return [await now(stream.submit(list(sessions), [number] * len(sessions))) for number in numbers]


@pytest.mark.parametrize("num_before", [0, 1, 2])
@pytest.mark.parametrize("fault", [GONE, LOSE_REPLY, BUSY, BUSY_FRAME, BUSY_ENTRY, TAKEN_OVER_ENTRY])
async def test_frames_in_flight_survive_a_break(server, client, fault, num_before):
    """With three frames in flight, whichever fails and however: each row is applied once, in order."""
    async with entered(client.stream(MODEL)) as stream:
        await now(stream.forecast({"a": 1, "b": 1}))
        server.gate.clear()
        frames = await submitted(stream, [2, 3, 4])
        assert not any(frame.done for frame in frames)
        server.faults.extend([*[None] * num_before, fault])
        server.gate.set()
        results = [await now(frame.result()) for frame in frames]
        assert (stream.position("a"), stream.position("b")) == (4, 4)
    assert server.values("a") == server.values("b") == [1, 2, 3, 4]
    assert not any(result.errors for result in results)
    assert results[-1].positions.tolist() == [4, 4]
    assert server.streams == 2


async def test_a_stream_survives_a_restart(server, kind, client):
    """The server goes and comes back with frames in flight: nothing is lost, doubled or forgotten."""
    async with entered(client.stream(MODEL)) as stream:
        await now(stream.forecast({"a": 1, "b": 1}))
        await arrival(server)
        server.gate.clear()
        frames = await submitted(stream, [2, 3, 4])
        await arrival(server)
        await asyncio.to_thread(server.stop)
        waiting = kind.start(frames[-1].result)
        await asyncio.to_thread(server.start)
        await waiting
        await now(stream.forecast({"b": 5, "c": 5}))
    assert server.values("a") == [1, 2, 3, 4]
    assert server.values("b") == [1, 2, 3, 4, 5]
    assert server.values("c") == [5]


async def test_a_refused_row_moves_those_behind_it_up(server, client):
    """A session's later rows, already in flight, apply where the refused one would have."""
    async with entered(client.stream(MODEL)) as stream:
        server.gate.clear()
        first = await now(stream.submit(["a", "b"], [REFUSED_VALUE, 1]))
        later = await submitted(stream, [2, 3])
        server.gate.set()
        refused, taken = await now(first.result())
        assert isinstance(refused, InvalidRequest)
        assert taken.position == 1
        for frame in later:
            assert not (await now(frame.result())).errors
        assert stream.position("a") == 2
    assert server.values("a") == [2, 3]
    assert server.values("b") == [1, 2, 3]


async def test_one_bad_entry_does_not_fail_its_neighbours(server, client):
    """The mapping holds a result for each session that was advanced, and an error for the other."""
    async with entered(client.stream(MODEL)) as stream:
        results = await now(stream.forecast({"a": [1, 2], "b": REFUSED_VALUE, "c": 3}, reply="each"))
    assert [forecast.position for forecast in results["a"].forecasts] == [1, 2]
    assert isinstance(results["b"], InvalidRequest)
    assert results["c"].position == 1
    assert "b" not in server.sessions


async def test_a_frame_refused_to_the_end_is_refused_alone(server, client):
    """An overload that will not pass is that frame's error; the rows of the next one apply."""
    async with entered(client.stream(MODEL)) as stream:
        await now(stream.open(["a"]))
        server.faults.extend([BUSY_FRAME, BUSY_FOR_EVER])
        with pytest.raises(Overloaded):
            await now(stream.forecast({"a": 1}))
        await now(stream.forecast({"a": 2}))
    assert server.values("a") == [2]


async def test_an_entry_sent_again_leaves_its_neighbours_answer_alone(server, client):
    """Where one entry of a frame was overloaded, the others keep the forecasts of their first answer."""
    async with entered(client.stream(MODEL)) as stream:
        await now(stream.open(["a", "b"]))
        server.faults.append(BUSY_ENTRY)
        results = await now(stream.forecast({"a": [1, 2], "b": [3, 4]}, reply="each"))
    for result in results.values():
        assert result.num_skipped == 0
        assert [forecast.position for forecast in result.forecasts] == [1, 2]
    assert server.values("a") == [1, 2]
    assert server.values("b") == [3, 4]


async def test_a_frame_that_may_have_been_applied_is_never_called_refused(server, client):
    """Its first answer was lost and its second an overload: it stays in flight."""
    async with entered(client.stream(MODEL)) as stream:
        await now(stream.open(["a"]))
        server.faults.extend([LOSE_REPLY, BUSY_FOR_EVER])
        with pytest.raises(Overloaded):
            await now(stream.forecast({"a": 1}))
        assert (await now(stream.forecast({"a": 2})))["a"].position == 2
    assert server.values("a") == [1, 2]


async def test_a_stream_behind_its_session_catches_up(server, client):
    """Rows at positions that the session has passed are skipped and counted; those after them apply."""
    await now(client.session(MODEL, "a").observe([1, 2, 3]))
    async with entered(client.stream(MODEL)) as stream:
        await now(stream.open(["a"], positions=[0]))
        skipped = (await now(stream.forecast({"a": 1})))["a"]
        assert (skipped.position, skipped.num_skipped) == (3, 1)
        assert (await now(stream.forecast({"a": 4})))["a"].num_skipped == 0
    assert server.values("a") == [1, 2, 3, 4]


async def test_a_wrong_stream_refuses_the_frame_that_was_wrong(server, client):
    """A stream that ends over one frame is opened again for those behind it."""
    async with entered(client.stream(MODEL)) as stream:
        server.gate.clear()
        frames = await submitted(stream, [1, FATAL_VALUE, 3])
        server.gate.set()
        await now(frames[0].result())
        with pytest.raises(InvalidRequest, match="wrong"):
            await now(frames[1].result())
        await now(frames[2].result())
    assert server.values("a") == server.values("b") == [1, 3]


async def test_frames_in_flight_are_bounded(server, kind, client):
    """A frame over the bound waits until the oldest is answered."""
    async with entered(client.stream(MODEL, max_frames_in_flight=2)) as stream:
        await now(stream.open(["a"]))
        server.gate.clear()
        frames = await submitted(stream, [1, 2], ["a"])
        third = kind.start(stream.submit, ["a"], [3])
        await arrival(server)
        assert not third.done()
        assert not frames[0].done
        server.gate.set()
        last = await third
        assert frames[0].done
        await now(last.result())
    assert server.values("a") == [1, 2, 3]


async def test_leaving_the_stream_waits_for_its_frames(server, client):
    """What was submitted is applied, though nobody asked for the result."""
    async with entered(client.stream(MODEL)) as stream:
        frames = await submitted(stream, [1, 2, 3])
    assert all(frame.done for frame in frames)
    assert server.values("a") == [1, 2, 3]


async def test_handles_spare_the_names(server, client):
    """Handles stand for sessions; positions that the caller knows are not asked for."""
    async with entered(client.stream(MODEL)) as stream:
        handles = await now(stream.open(["a", "b"], positions=[0, 0]))
        assert "GetSession" not in server.calls
        result = await now(stream.send(handles[[1, 0, 1]], [1, 2, 3, 4], lengths=[1, 2, 1]))
        assert result.positions.tolist() == [1, 2, 2]
        with pytest.raises(ValueError, match="handles: expected"):
            await now(stream.submit(np.array([2]), [1]))
    assert server.values("a") == [2, 3]
    assert server.values("b") == [1, 4]


async def test_times_travel(server, client):
    """Late rows are counted, on a stream as in a call."""
    session = client.session(MODEL, "a")
    times = np.array(["2024-01-01", "2024-01-02"], "datetime64[D]")
    await now(session.observe([1, 2], times))
    assert (await now(session.forecast([3], times[:1]))).num_late == 1
    async with entered(client.stream(MODEL)) as stream:
        results = await now(stream.forecast({"a": 4, "b": 1}, {"a": times[1], "b": times[1]}))
        assert (results["a"].num_late, results["b"].num_late) == (1, 0)
        with pytest.raises(ValueError, match="differs at 'b'"):
            await now(stream.forecast({"a": 4, "b": 1}, {"a": times[1]}))
    assert server.sessions["a"].times_us == times.astype("datetime64[us]").astype(int).tolist()
    assert server.sessions["a"].position == 4


async def test_a_message_too_large_is_not_sent(server, kind):
    """Waiting would not make it fit: the caller sends fewer rows."""
    async with entered(kind.client(server.target, max_message_bytes=1000)) as client:
        session = client.session(MODEL, "a")
        with pytest.raises(InvalidRequest, match="at most 1000 bytes"):
            await now(session.forecast(np.zeros(1000)))
        async with entered(client.stream(MODEL)) as stream:
            with pytest.raises(InvalidRequest, match="at most 1000 bytes"):
                await now(stream.forecast({"a": np.zeros(1000)}))
            await now(stream.forecast({"a": 1}))
        await now(session.refresh())
        await now(session.forecast(2))
    assert server.values("a") == [1, 2]


async def test_models_are_described(client):
    """What a caller needs to build rows and read forecasts."""
    (model,) = await now(client.models())
    assert model == await now(client.model(MODEL))
    assert [feature.name for feature in model.features] == ["y"]
    assert (model.horizon, model.quantile_levels) == (3, (0.1, 0.5, 0.9))
    assert model.manifest == {}
    with pytest.raises(statecast.NotFound) as caught:
        await now(client.model("other"))
    assert caught.value.field == "model"


async def test_a_cancelled_wait_loses_nothing(server):
    """A task that is cancelled leaves its rows to be settled by the next call."""
    async with statecast.AsyncClient(server.target) as client:
        session = client.session(MODEL, "a")
        await session.observe(1)
        await arrival(server)
        async with client.stream(MODEL) as stream:
            await stream.open(["b"])
            server.gate.clear()
            calls = [asyncio.create_task(session.forecast(2)), asyncio.create_task(stream.forecast({"b": 1}))]
            for _ in calls:
                await arrival(server)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            assert all(call.cancelled() for call in calls)
            server.gate.set()
            await session.forecast(3)
            await stream.forecast({"b": 2})
    assert server.values("a") == [1, 2, 3]
    assert server.values("b") == [1, 2]


async def test_tasks_and_threads_share_a_session_and_a_stream(server, kind, client):
    """Calls made at once are made one after the other."""
    session = client.session(MODEL, "a")
    async with entered(client.stream(MODEL)) as stream:
        calls = [kind.start(session.observe, number) for number in range(8)]
        calls += [kind.start(stream.send, ["b"], [number]) for number in range(8)]
        await asyncio.gather(*calls)
    assert sorted(server.values("a")) == sorted(server.values("b")) == list(range(8))


async def test_a_session_that_was_ended_unheard_is_ended(server, client):
    """The answer to a delete is lost: the second one finds nothing, and that is no error."""
    await now(client.session(MODEL, "a").observe(1))
    server.faults.append(LOSE_REPLY)
    assert await now(client.sessions(MODEL).delete("a")) is None
    assert server.sessions == {}
    with pytest.raises(statecast.NotFound):
        await now(client.sessions(MODEL).delete("a"))


async def test_a_server_without_these_calls_is_told_from_a_fault(server, client):
    """One that is older than the client."""
    for call in (client.sessions(MODEL).reset, client.sessions(MODEL).export, client.sessions(MODEL).watch):
        with pytest.raises(statecast.Unsupported):
            await now(call("a"))
    with pytest.raises(statecast.Unsupported, match="does not seal states"):
        await now(client.carried(MODEL, "a").observe(1))
