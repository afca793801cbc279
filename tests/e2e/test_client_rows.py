"""Rows one by one, carried in frames: how many frames, in which order, and what a fault does.

Each test is written once and runs with the blocking and the awaiting client.
"""

import asyncio
import threading
from concurrent.futures import Future

import grpc
import numpy as np
import pytest

import statecast
from statecast import InvalidRequest, Overloaded, PositionConflict, Unacknowledged, Unavailable
from statecast.flow import Receive
from tests.both_clients import ARRIVAL_S, Awaiting, Blocking, arrival, entered, now
from tests.fake_server import LOSE_REPLY, MODEL, REFUSED_VALUE, FakeServer, Fault

GONE = Fault()
BUSY = Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, trailers=(("grpc-retry-pushback-ms", "20"),))
BUSY_FRAME = Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, in_frame=True)
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
    """A client that gives up at once."""
    async with entered(kind.client(server.target, retry_budget_s=0)) as opened:
        yield opened


async def held(server, stream, session_id="first"):
    """A row that the server holds at its gate: with room for one frame, what comes next is collected."""
    server.gate.clear()
    answer = stream.session(session_id).observe(0)
    await arrival(server)
    return answer


async def test_a_thousand_calls_are_two_frames(server, client):
    """One on its way, and one with all that was collected meanwhile; each call has an answer of its own."""
    async with entered(client.stream(MODEL, max_frames_in_flight=1)) as stream:
        first = await held(server, stream)
        sessions = [stream.session(f"s{number}") for number in range(10)]
        answers = [sessions[number % 10].observe(number) for number in range(1000)]
        assert not first.done()
        server.gate.set()
        results = [await now(answer) for answer in answers]
    assert server.calls.count("frame") == 2
    assert [result.position for result in results] == [1 + number // 10 for number in range(1000)]
    for number in range(10):
        assert server.values(f"s{number}") == list(range(number, 1000, 10))


async def test_a_call_on_an_idle_stream_goes_at_once(server, client):
    """Nothing is waited for: each call that awaits the one before is a frame."""
    async with entered(client.stream(MODEL)) as stream:
        session = stream.session("a")
        for number in range(3):
            assert (await now(session.observe(number))).position == number + 1
    assert server.calls.count("frame") == 3


async def test_rows_go_while_an_answer_is_waited_for(server, kind, monkeypatch):
    """Where another frame may be in flight, a call does not wait for the answer of the one before."""
    client = kind.client(server.target, attempt_timeout_s=2 * ARRIVAL_S)
    async with entered(client), entered(client.stream(MODEL, max_frames_in_flight=2)) as stream:
        await now(stream.open(["first", "a"]))
        first = await held(server, stream)
        sent = threading.Event()
        send = stream._connection.send
        monkeypatch.setattr(stream._connection, "send", lambda request: (send(request), sent.set()))
        second = stream.session("a").observe(1)
        assert await asyncio.to_thread(sent.wait, ARRIVAL_S)
        assert not first.done()
        server.gate.set()
        assert [(await now(answer)).position for answer in (first, second)] == [1, 1]


async def test_a_row_that_came_just_before_a_wait_ends_it(server):
    """The thread that carries rows decides to wait, a row comes, it waits: nobody else would wake it."""
    with statecast.Client(server.target) as client, client.stream(MODEL) as stream:
        stream._rows.collect("a", 1, None, "none", None, Future())
        assert stream._perform_in_turn(Receive(ARRIVAL_S)) is None
        stream.drain()
    assert server.values("a") == [1]


async def test_frames_are_bounded_in_rows(server, client):
    """A hundred calls at ten rows a frame are ten frames."""
    async with entered(client.stream(MODEL, max_frames_in_flight=1, max_rows_a_frame=10)) as stream:
        await held(server, stream)
        answers = [stream.session("a").observe(number) for number in range(100)]
        server.gate.set()
        for answer in answers:
            await now(answer)
    assert server.calls.count("frame") == 11
    assert server.values("a") == list(range(100))


async def test_observing_and_forecasting_keep_a_sessions_order(server, client):
    """Calls of both kinds share frames with their like, and no row overtakes another of its session."""
    async with entered(client.stream(MODEL, max_frames_in_flight=1)) as stream:
        await held(server, stream)
        sessions = [stream.session(name) for name in "abc"]
        observed = [session.observe(1) for session in sessions]
        forecast = [session.forecast(2, horizon=2) for session in sessions]
        each = [session.forecast([3, 4], reply="each") for session in sessions]
        server.gate.set()
        for answer in observed:
            assert (await now(answer)).forecasts == ()
        for answer in forecast:
            np.testing.assert_allclose((await now(answer)).forecast.median, [3.5, 4.5])
        for answer in each:
            assert [made.position for made in (await now(answer)).forecasts] == [3, 4]
    assert server.calls.count("frame") == 4
    assert all(server.values(name) == [1, 2, 3, 4] for name in "abc")


async def test_times_travel_with_their_rows(server, client):
    """Late rows are told to the call that sent them."""
    times = np.array(["2024-01-02", "2024-01-01", "2024-01-03"], "datetime64[D]")
    async with entered(client.stream(MODEL)) as stream:
        answers = [stream.session("a").observe(number, time) for number, time in enumerate(times)]
        assert [(await now(answer)).num_late for answer in answers] == [0, 1, 0]
    assert server.values("a") == [0, 2]


@pytest.mark.parametrize("num_before", [0, 1, 2])
@pytest.mark.parametrize("fault", [GONE, LOSE_REPLY, BUSY, BUSY_FRAME, BUSY_ENTRY])
async def test_rows_in_flight_survive_a_break(server, client, fault, num_before):
    """With three frames of single rows on their way, whichever fails: each row is applied once, in order."""
    async with entered(client.stream(MODEL, max_frames_in_flight=3, max_rows_a_frame=4)) as stream:
        await now(stream.open(["first", "a", "b"]))
        answers = [await held(server, stream)]
        for number in range(8):
            answers += [stream.session("a").observe(number), stream.session("b").observe(number)]
        server.faults.extend([*[None] * num_before, fault])
        server.gate.set()
        results = [await now(answer) for answer in answers]
    assert server.values("a") == server.values("b") == list(range(8))
    # A row that is skipped is answered with the session as it then stands.
    positions = [result.position for result in results[1:] if not result.num_skipped]
    expected = [1 + index // 2 for index, result in enumerate(results[1:]) if not result.num_skipped]
    assert positions == expected


async def test_a_refused_row_fails_its_own_call_alone(server, client):
    """Others of its session, in the same frame and in later ones, apply where it would have."""
    async with entered(client.stream(MODEL, max_frames_in_flight=2, max_rows_a_frame=4)) as stream:
        await held(server, stream)
        values = [1, REFUSED_VALUE, 2, REFUSED_VALUE, REFUSED_VALUE, 3, 4, 5]
        answers = [stream.session("a").observe(value) for value in values]
        neighbour = stream.session("b").observe(9)
        server.gate.set()
        for value, answer in zip(values, answers, strict=True):
            if value == REFUSED_VALUE:
                with pytest.raises(InvalidRequest):
                    await now(answer)
            else:
                assert (await now(answer)).position == value
        await now(neighbour)
    assert server.values("a") == [1, 2, 3, 4, 5]
    assert server.values("b") == [9]


async def test_a_session_the_server_lost_is_a_conflict(server, client):
    """Each call is told, none is doubled; taking the server's position starts afresh."""
    async with entered(client.stream(MODEL)) as stream:
        session = stream.session("a")
        await now(session.observe([1, 2]))
        server.sessions.clear()
        answers = [session.observe(3), session.observe(4)]
        for answer in answers:
            with pytest.raises(PositionConflict) as caught:
                await now(answer)
            assert caught.value.committed_position == 0
        assert await now(stream.refresh(["a"])) == [0]
        await now(session.observe(5))
    assert server.values("a") == [5]


async def test_rows_whose_call_failed_are_sent_by_the_next(server, hasty):
    """A server that was away has lost nothing when it is back, and nothing is doubled."""
    async with entered(hasty.stream(MODEL)) as stream:
        session = stream.session("a")
        await now(session.observe(1))
        server.faults.append(LOSE_REPLY)
        with pytest.raises(Unavailable):
            await now(session.observe(2))
        server.faults.append(GONE)
        with pytest.raises(Unavailable):
            await now(session.observe(3))
        assert (await now(session.observe(4))).position == 4
    assert server.values("a") == [1, 2, 3, 4]


async def test_a_stream_survives_a_restart(server, kind, client):
    """Connections drop with rows in flight and rows collected: nothing is lost, doubled or out of order."""
    async with entered(client.stream(MODEL, max_frames_in_flight=1)) as stream:
        await now(stream.open(["first", "a"]))
        answers = [await held(server, stream)]
        answers += [stream.session("a").observe(number) for number in range(100)]
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        for answer in answers:
            await now(answer)
    assert server.values("first") == [0]
    assert server.values("a") == list(range(100))


async def test_frames_of_the_callers_own_keep_the_order(server, client):
    """A frame that is submitted after single rows is applied after them, and before later ones."""
    async with entered(client.stream(MODEL, max_frames_in_flight=2)) as stream:
        session = stream.session("a")
        for number in range(0, 30, 3):
            session.observe(number)
            await now(stream.submit(["a", "a"], [number + 1, number + 2]))
    assert server.values("a") == list(range(30))


async def test_leaving_the_stream_waits_for_its_rows(server, client):
    """What was taken is applied, though nobody asked for the answers; so it is after `drain`."""
    async with entered(client.stream(MODEL)) as stream:
        before = [stream.session("a").observe(number) for number in range(50)]
        await now(stream.drain())
        assert all(answer.done() for answer in before)
        answers = [stream.session("a").observe(number) for number in range(50, 100)]
    assert all(answer.done() for answer in answers)
    assert server.values("a") == list(range(100))


async def test_closing_the_stream_answers_every_call(server, client):
    """Nobody is left waiting; what became of the rows is in doubt, and the stream's next use settles it."""
    stream = client.stream(MODEL, max_frames_in_flight=1)
    await now(stream.open(["first", "a"]))
    answers = [await held(server, stream), stream.session("a").observe(1)]
    await now(stream.close())
    for answer in answers:
        with pytest.raises(Unacknowledged, match="closed"):
            await now(answer)
    server.gate.set()
    async with entered(stream):
        assert (await now(stream.session("a").observe(2))).position == 2
    assert server.values("first") == [0]
    assert server.values("a") == [1, 2]


async def test_wrong_arguments_are_told_at_the_call(server, client):
    """Where the model is known nothing is taken; otherwise the call's own answer says it."""
    model = await now(client.model(MODEL))
    async with entered(client.stream(model)) as stream:
        session = stream.session("a")
        for wrong in (lambda: session.observe("x"), lambda: session.forecast(1, reply="all")):
            with pytest.raises(ValueError, match="expected"):
                wrong()
        with pytest.raises(ValueError, match="session_id: expected text"):
            stream.session(7)
    async with entered(client.stream(MODEL)) as stream:
        wrong, right = stream.session("a").observe([[1, 2]]), stream.session("a").observe(1)
        with pytest.raises(ValueError, match="rows: expected"):
            await now(wrong)
        assert (await now(right)).position == 1
    assert server.values("a") == [1]


async def test_a_model_that_is_not_there_is_told_to_every_call(server, client):
    """The stream is not stuck with rows for it."""
    async with entered(client.stream("other")) as stream:
        for answer in [stream.session(name).observe(1) for name in "ab"]:
            with pytest.raises(statecast.NotFound):
                await now(answer)


async def test_the_blocking_client_waits_for_room(server, monkeypatch):
    """A call over the bound returns once a row has been answered."""
    with statecast.Client(server.target) as client, client.stream(MODEL, max_rows_in_flight=2) as stream:
        first = await held(server, stream)
        stream.session("a").observe(1)
        room, blocked = stream._thread._room, threading.Event()
        monkeypatch.setattr(room, "wait", lambda wait=room.wait: (blocked.set(), wait()))
        third = Blocking.start(stream.session("a").observe, 2)
        assert await asyncio.to_thread(blocked.wait, ARRIVAL_S)
        assert not first.done()
        server.gate.set()
        assert (await now(await third)).position == 2
    assert server.values("a") == [1, 2]


async def test_the_awaiting_client_waits_for_room(server):
    """`room` returns once a row has been answered; calls over the bound are taken in their order."""
    client = statecast.AsyncClient(server.target)
    async with client, client.stream(MODEL, max_rows_in_flight=2) as stream:
        await stream.room()
        await held(server, stream)
        answers = [stream.session("a").observe(number) for number in range(10)]
        room = asyncio.create_task(stream.room())
        await asyncio.sleep(0)  # the task begins to wait, or ends
        assert not room.done()
        server.gate.set()
        await room
        await asyncio.gather(*answers)
    assert server.values("a") == list(range(10))


async def test_a_call_without_room_is_not_taken(server, kind, hasty):
    """Where the server stays away, rows up to the bound stay with the stream; a further one is refused."""
    async with entered(hasty.stream(MODEL, max_rows_in_flight=1)) as stream:
        await now(stream.open(["a"]))
        session = stream.session("a")
        server.faults.append(GONE)
        with pytest.raises(Unavailable):
            await now(session.observe(1))
        server.faults.append(GONE)
        with pytest.raises(Overloaded, match="not taken"):
            await _observe(session, 2)
        if kind is Awaiting:
            server.faults.append(GONE)
            with pytest.raises(Overloaded, match="not taken"):
                await stream.room()
            await stream.drain()
        assert (await _observe(session, 3)).position == 2
    assert server.values("a") == [1, 3]


async def _observe(session, value):
    """A call that may have to wait for room, and its answer."""
    if isinstance(session, statecast.AsyncStreamSession):
        return await session.observe(value)
    return await now(await asyncio.to_thread(session.observe, value))


async def test_cancelling_one_wait_harms_no_other(server):
    """Its row is applied with the others of the frame, and its session goes on behind it."""
    client = statecast.AsyncClient(server.target)
    async with client, client.stream(MODEL, max_frames_in_flight=1) as stream:

        async def observe(name, value):
            return await stream.session(name).observe(value)

        await held(server, stream)
        tasks = [asyncio.create_task(observe(name, 1)) for name in "abc"]
        await asyncio.sleep(0)  # each task makes its call
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        server.gate.set()
        assert [(await tasks[index]).position for index in (0, 2)] == [1, 1]
        assert tasks[1].cancelled()
        assert (await stream.session("b").observe(2)).position == 2
    assert server.values("b") == [1, 2]
    assert server.calls.count("frame") == 3


async def test_threads_share_frames(server):
    """Threads that wait for each of their answers, and one that sends frames, lose and double nothing."""
    num_threads, num_rows = 8, 50
    with statecast.Client(server.target) as client, client.stream(MODEL) as stream:

        def work(name):
            for number in range(num_rows):
                assert stream.session(name).observe(number).result().position == number + 1

        def frames():
            for number in range(num_rows):
                stream.send(["frames"], [number])

        work_of = [asyncio.to_thread(work, f"t{index}") for index in range(num_threads)]
        await asyncio.gather(*work_of, asyncio.to_thread(frames))
    for name in [*(f"t{index}" for index in range(num_threads)), "frames"]:
        assert server.values(name) == list(range(num_rows))


async def test_tasks_share_frames(server):
    """Tasks that await each of their answers go in step: a frame for each round of them."""
    num_tasks, num_rows = 50, 20
    async with statecast.AsyncClient(server.target) as client, client.stream(MODEL) as stream:

        async def work(name):
            for number in range(num_rows):
                assert (await stream.session(name).observe(number)).position == number + 1

        await stream.open([f"t{index}" for index in range(num_tasks)])
        await asyncio.gather(*(work(f"t{index}") for index in range(num_tasks)))
    assert server.calls.count("frame") == num_rows
    for index in range(num_tasks):
        assert server.values(f"t{index}") == list(range(num_rows))


async def test_a_futures_callback_may_use_the_stream(server):
    """It runs in the stream's own thread, which must not wait for itself, even without room."""
    done = threading.Event()
    with statecast.Client(server.target) as client, client.stream(MODEL, max_rows_in_flight=1) as stream:
        session = stream.session("a")

        def again(answer):
            if answer.result().position < 5:
                stream.submit(["b"], [answer.result().position])
                for value in (0, 0):
                    follow = session.observe(value)
                follow.add_done_callback(again)
            else:
                done.set()

        session.observe(0).add_done_callback(again)
        assert await asyncio.to_thread(done.wait, ARRIVAL_S)
    assert server.values("a") == [0] * 5
    assert server.values("b") == [1, 3]


async def test_a_client_that_is_closed_first_leaves_nobody_waiting(server, kind):
    """Its stream cannot go on; each call is told."""
    client = kind.client(server.target)
    stream = client.stream(MODEL)
    await now(stream.session("a").observe(1))
    await now(client.close())
    with pytest.raises(Unacknowledged):
        await now(stream.session("a").observe(2))
    await now(stream.close())
