"""A stream's flow, driven by hand where a real connection would be too quick."""

import pytest

from statecast.columns import POSITION, pack
from statecast.errors import InternalError, Unavailable
from statecast.flow import Connect, Pause, Receive, Send
from statecast.model import Feature, Model
from statecast.retry import RetryPolicy
from statecast.stream_flow import StreamFlow
from statecast.v1 import forecast_pb2

MODEL = Model("m", 1, "", "lstm", (Feature("y", False),), "h", 24, 1, (0.5,), "")


@pytest.fixture
def stream():
    """One session at position 0."""
    made = StreamFlow(MODEL, RetryPolicy(), max_frames_in_flight=4, max_message_bytes=10_000)
    _finish(made.open(["a"], [0]))
    return made


def _finish(steps):
    """Run a flow that waits for nothing; the steps it took and what it returned."""
    taken = []
    try:
        while True:
            taken.append(next(steps))
    except StopIteration as stop:
        return taken, stop.value


def _submit(stream, value):
    return _finish(stream.submit(["a"], [value], None, None, "last", None))


def _reply(frame):
    return forecast_pb2.StreamForecastsResponse(
        frame_id=frame.frame_id, positions=pack(frame.positions + 1, POSITION), forecasts=bytes(4), horizon=1,
        num_quantile_levels=1, model_version=1,
    )  # fmt: skip


def test_a_handle_is_named_once_a_connection(stream):
    """The first frame connects and names its session; the second is its frame alone."""
    (connect, names, frame), _ = _submit(stream, 1)
    assert isinstance(connect, Connect)
    assert [session.session_id for session in names.request.sessions] == ["a"]
    assert frame.request.HasField("frame")
    (again,), _ = _submit(stream, 2)
    assert not again.request.sessions


def test_an_interrupt_between_a_reply_and_its_use_loses_nothing(stream):
    """A wait that is cut off gives up the connection: the reply may be gone, so the frame is sent again."""
    _, frame = _submit(stream, 1)
    waiting = stream.wait_for(frame)
    assert isinstance(next(waiting), Receive)
    waiting.close()
    waiting = stream.wait_for(frame)
    assert [type(next(waiting)) for _ in range(4)] == [Connect, Send, Send, Receive]
    with pytest.raises(StopIteration):
        waiting.send(_reply(frame))
    assert frame.result().positions.tolist() == [1]


def test_a_reply_to_another_frame_is_the_servers_fault(stream):
    """Replies come in the order of the frames; anything else is not guessed at."""
    _, frame = _submit(stream, 1)
    _, other = _submit(stream, 2)
    waiting = stream.wait_for(frame)
    next(waiting)
    with pytest.raises(InternalError, match="expected the reply to frame 1, found 2"):
        waiting.send(_reply(other))


def test_the_budget_starts_anew_with_each_answer(stream):
    """A stream that makes progress never runs out of budget, however often it breaks."""
    now_s = [0.0]
    stream._policy = RetryPolicy(1.0, clock=lambda: now_s[0], jitter=lambda: 0.0)
    for value in range(5):
        _, frame = _submit(stream, value)
        waiting = stream.wait_for(frame)
        next(waiting)
        now_s[0] += 0.9
        assert isinstance(waiting.throw(Unavailable("gone")), Pause)
        while not isinstance(waiting.send(None), Receive):
            pass
        with pytest.raises(StopIteration):
            waiting.send(_reply(frame))


def test_a_stream_has_room_for_a_frame():
    """A bound of none would wait for ever."""
    with pytest.raises(ValueError, match="max_frames_in_flight: expected at least 1, found 0"):
        StreamFlow(MODEL, RetryPolicy(), 0, 1000)


def test_session_ids_are_a_sequence(stream):
    """One id alone would be taken apart into letters."""
    with pytest.raises(ValueError, match="expected a sequence of ids, found 'meter'"):
        next(stream.open("meter"))
