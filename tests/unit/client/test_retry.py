"""When a call is sent again, and what becomes of its rows."""

import pytest

from statecast import flow
from statecast.errors import InvalidRequest, Overloaded, Unacknowledged, Unavailable
from statecast.flow import Call, Pause
from statecast.retry import RetryPolicy
from statecast.v1 import model_pb2


class Clock:
    """Time that moves only when told."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def _policy(clock, jitter=0.0, budget_s=10.0):
    return RetryPolicy(budget_s, clock=clock, jitter=lambda: jitter)


def test_pauses_double_up_to_the_longest(clock):
    """Each pause is between half and the whole of a time that doubles, up to two seconds."""
    for jitter, factor in ((0.0, 0.5), (1.0, 1.0)):
        attempts = _policy(clock, jitter).start()
        pauses = [attempts.pause_s(Unavailable("gone")) for _ in range(8)]
        assert pauses == pytest.approx([factor * s for s in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2, 2)])


def test_the_budget_ends_it(clock):
    """A pause that would end after the budget is not begun."""
    attempts = _policy(clock).start()
    assert attempts.pause_s(Unavailable("gone")) is not None
    clock.now_s += 9.99
    assert attempts.pause_s(Unavailable("gone")) is None


def test_no_budget_means_one_attempt(clock):
    """With a budget of 0 nothing is sent twice."""
    assert _policy(clock, budget_s=0.0).start().pause_s(Unavailable("gone")) is None


def test_the_servers_delay_is_obeyed(clock):
    """Never sooner than asked, a little later; a delay beyond the budget, or a negative one, ends it."""
    attempts = _policy(clock, jitter=0.5).start()
    assert attempts.pause_s(Overloaded("full", retry_after_s=4.0)) == pytest.approx(4.2)
    assert attempts.pause_s(Overloaded("full", retry_after_s=60.0)) is None
    assert attempts.pause_s(Overloaded("full", retry_after_s=-0.001)) is None


def test_a_wrong_request_is_not_sent_again(clock):
    """Only what the same request may survive is tried again."""
    assert _policy(clock).start().pause_s(InvalidRequest("wrong")) is None


def test_doubt_comes_from_silence_alone(clock):
    """An overloaded server has answered: nothing was applied."""
    attempts = _policy(clock).start()
    attempts.pause_s(Overloaded("full"))
    assert not attempts.in_doubt
    attempts.pause_s(Unacknowledged("late"))
    assert attempts.in_doubt


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_a_budget_is_a_finite_time(seconds):
    """A client that never gives up would hide that its server is gone."""
    with pytest.raises(ValueError, match="budget_s: expected a finite number"):
        RetryPolicy(seconds)


def test_a_call_is_the_same_each_time(clock):
    """After a pause the same message goes out; the answer of the last attempt is the call's."""
    request = model_pb2.GetModelRequest(model="m")
    steps = flow.call("GetModel", request, _policy(clock).start())
    first = next(steps)
    assert first == Call("GetModel", request, 10.0)
    assert isinstance(steps.throw(Unavailable("gone")), Pause)
    assert steps.send(None) == first
    with pytest.raises(StopIteration) as stop:
        steps.send("answer")
    assert stop.value.value == "answer"


def test_positions_of_many_sessions_are_asked_for_in_windows(clock):
    """Calls go side by side, a bounded number at a time; those that failed are asked for again."""
    from statecast.errors import NotFound
    from statecast.v1 import session_pb2

    def found(position):
        return session_pb2.GetSessionResponse(session=session_pb2.Session(position=position))

    ids = [f"s{i}" for i in range(flow.MAX_CALLS_IN_FLIGHT + 2)]
    steps = flow.get_positions("m", ids, _policy(clock))
    first = next(steps)
    assert len(first.requests) == flow.MAX_CALLS_IN_FLIGHT
    outcomes = [found(7) for _ in first.requests]
    outcomes[1] = NotFound("new")
    outcomes[3] = Unavailable("gone")
    assert isinstance(steps.send(outcomes), Pause)
    again = steps.send(None)
    assert [request.session_id for request in again.requests] == ["s3", *ids[-2:]]
    with pytest.raises(StopIteration) as stop:
        steps.send([found(3), found(1), found(2)])
    assert stop.value.value == [7, 0, 7, 3, *[7] * (len(ids) - 6), 1, 2]
