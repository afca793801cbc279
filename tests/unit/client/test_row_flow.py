"""Single rows in frames, driven by hand: when a frame is made, what each call is told, what is kept."""

from concurrent.futures import Future

import pytest

from statecast.columns import HANDLE, POSITION, VALUE, pack, unpack
from statecast.errors import (
    AccessDenied,
    InvalidRequest,
    NotFound,
    Overloaded,
    PositionConflict,
    Unacknowledged,
    Unavailable,
)
from statecast.flow import Call, CallMany, Connect, Pause, Receive, Send
from statecast.model import Feature, Model
from statecast.retry import RetryPolicy
from statecast.row_flow import RowFlow
from statecast.stream_flow import StreamFlow
from statecast.v1 import forecast_pb2, model_pb2, session_pb2

MODEL = Model("m", 1, "", "lstm", (Feature("y", False),), "h", 24, 1, (0.5,), "")
INVALID, ABORTED, EXHAUSTED = 3, 10, 8


class Driver:
    """Takes turns by hand. A server that is not there: replies are what the test says."""

    def __init__(self, *, model=MODEL, frames=2, rows=100, a_frame=10, budget_s=30.0):
        policy = RetryPolicy(budget_s, jitter=lambda: 0.0)
        self.stream = StreamFlow(model, policy, frames, max_message_bytes=10_000)
        self.flow = RowFlow(self.stream, a_frame, rows, max_message_bytes=10_000)
        self.frames = []
        self.connects = 0

    def put(self, session_id, value, reply="none"):
        answer = Future()
        self.flow.collect(session_id, value, None, reply, None, answer)
        return answer

    def open(self, *session_ids):
        with pytest.raises(StopIteration):
            next(self.stream.open(session_ids, [0] * len(session_ids)))

    def turn(self, *outcomes):
        """One turn; steps that wait get `outcomes`, errors thrown. Returns the steps that waited."""
        outcomes, waited = list(outcomes), []
        steps = self.flow.turn()
        try:
            step = next(steps)
            while True:
                if isinstance(step, Send | Connect | Pause):
                    self._note(step)
                    step = steps.send(None)
                    continue
                waited.append(step)
                outcome = outcomes.pop(0)
                step = steps.throw(outcome) if isinstance(outcome, Exception) else steps.send(outcome)
        except StopIteration:
            return waited
        finally:
            self.flow.deliver()

    def _note(self, step):
        self.connects += isinstance(step, Connect)
        if isinstance(step, Send) and step.request.HasField("frame"):
            self.frames.append(step.request.frame)

    def sent(self):
        """The frames sent since this was asked last: values and positions of each."""
        frames, self.frames = self.frames, []
        return [
            (unpack(frame.values, VALUE, "").tolist(), unpack(frame.positions, POSITION, "").tolist())
            for frame in frames
        ]


def reply(frame_id, positions, errors=()):
    """`errors`: entry, code and, for some, committed position."""
    return forecast_pb2.StreamForecastsResponse(
        frame_id=frame_id,
        positions=pack(positions, POSITION),
        num_forecasts=bytes(4 * len(positions)),
        entry_errors=[forecast_pb2.EntryError(entry=entry, code=code) for entry, code in errors],
        model_version=1,
    )


def found(position):
    return session_pb2.GetSessionResponse(session=session_pb2.Session(position=position))


@pytest.fixture
def driver():
    """Sessions `a` and `b` at position 0; two frames of ten rows may be in flight."""
    made = Driver()
    made.open("a", "b")
    return made


def test_what_was_collected_goes_as_one_frame(driver):
    """Rows of several sessions and several of one, in the order of the calls, each at its position."""
    answers = [driver.put(name, value) for name, value in [("a", 1), ("b", 2), ("a", 3)]]
    assert driver.turn() == []
    assert driver.sent() == [([1, 2, 3], [0, 0, 1])]
    assert isinstance(driver.turn(reply(1, [1, 1, 2]))[0], Receive)
    assert [answer.result(0).position for answer in answers] == [1, 1, 2]
    assert not driver.flow.is_waiting
    assert driver.flow.is_idle


def test_a_frame_holds_no_more_rows_than_it_may(driver):
    """Twelve calls are a frame of ten and one of two; the last waits for no others."""
    for value in range(12):
        driver.put("a", value)
    driver.turn()
    driver.turn()
    assert [len(values) for values, _ in driver.sent()] == [10, 2]


def test_rows_collect_while_there_is_no_room_for_a_frame(driver):
    """With two frames in flight the next turn takes a reply; then all that came meanwhile is one frame."""
    for value in (1, 2):
        driver.put("a", value)
        driver.turn()
    driver.put("a", 3)
    driver.put("b", 4)
    assert not driver.flow.can_send
    driver.turn(reply(1, [1]))
    driver.turn()
    assert [values for values, _ in driver.sent()] == [[1], [2], [3, 4]]


def test_a_turn_that_is_woken_takes_no_reply(driver):
    """Rows that come while it waits for a reply go at once, and the wait begins anew."""
    driver.put("a", 1)
    driver.turn()
    driver.turn(None)
    driver.put("a", 2)
    driver.turn()
    assert driver.sent() == [([1], [0]), ([2], [1])]


def test_a_broken_connection_sends_rows_again_at_their_positions(driver):
    """Two frames in flight and a call collected: all in order, none at another position than before."""
    answers = [driver.put("a", 1)]
    driver.turn()
    answers.append(driver.put("a", 2))
    driver.turn()
    answers.append(driver.put("a", 3))
    driver.sent()
    driver.turn(Unavailable("gone"))
    driver.turn()
    assert driver.connects == 2
    assert driver.sent() == [([1], [0]), ([2], [1])]
    driver.turn(reply(1, [1]))
    driver.turn()
    driver.turn(reply(2, [2]))
    driver.turn(reply(3, [3]))
    assert driver.sent() == [([3], [2])]
    assert [answer.result(0).position for answer in answers] == [1, 2, 3]


def test_a_refused_row_fails_its_call_alone(driver):
    """Rows behind it, refused for their position, go again one earlier: in this frame and the next."""
    first = [driver.put(*row) for row in [("a", 1), ("a", 2), ("b", 3), ("a", 4), ("a", 5)]]
    driver.turn()
    later = driver.put("a", 6)
    driver.turn()
    driver.sent()
    refusals = [(1, INVALID), (3, ABORTED), (4, INVALID)]
    driver.turn(reply(1, [1, -1, 1, -1, -1], refusals))
    assert [answer.done() for answer in first] == [True, True, True, False, True]
    driver.turn()
    assert driver.sent() == [([4], [1]), ([6], [2])]
    driver.turn(reply(1, [2]))
    driver.turn(reply(2, [3]))
    assert [first[entry].result(0).position for entry in (0, 2, 3)] == [1, 1, 2]
    assert later.result(0).position == 3
    for entry in (1, 4):
        assert isinstance(first[entry].exception(0), InvalidRequest)
    assert driver.stream.position("a") == 3


def test_a_conflict_of_positions_is_told_to_each(driver):
    """Where the session itself stands elsewhere, no row is sent again."""
    answers = [driver.put("a", 1), driver.put("a", 2), driver.put("b", 3)]
    driver.turn()
    driver.turn(reply(1, [-1, -1, 1], [(0, ABORTED), (1, ABORTED)]))
    for answer in answers[:2]:
        assert isinstance(answer.exception(0), PositionConflict)
    assert answers[2].result(0).position == 1
    assert driver.flow.is_idle


def test_an_overloaded_row_is_sent_again_and_its_neighbours_are_not(driver):
    """Those that were applied are answered at once; the row behind the overloaded one waits with it."""
    answers = [driver.put(*row) for row in [("a", 1), ("a", 2), ("b", 3)]]
    driver.turn()
    driver.sent()
    driver.turn(reply(1, [-1, -1, 1], [(0, EXHAUSTED), (1, ABORTED)]))
    assert [answer.done() for answer in answers] == [False, False, True]
    driver.turn()
    assert driver.sent() == [([1, 2], [0, 1])]
    driver.turn(reply(1, [1, 2]))
    assert [answer.result(0).position for answer in answers] == [1, 2, 1]


def test_an_overload_to_the_end_is_told_to_those_it_kept_waiting():
    """They were surely not applied: their rows are gone, and the next call's row takes their place."""
    driver = Driver(budget_s=0)
    driver.open("a", "b")
    answers = [driver.put(*row) for row in [("a", 1), ("a", 2), ("b", 3)]]
    driver.turn()
    driver.turn(reply(1, [-1, -1, 1], [(0, EXHAUSTED), (1, ABORTED)]))
    for answer in answers[:2]:
        assert isinstance(answer.exception(0), Overloaded)
    assert answers[2].result(0).position == 1
    driver.sent()
    driver.put("a", 4)
    driver.turn()
    assert driver.sent() == [([4], [0])]


def test_rows_stay_when_the_budget_runs_out():
    """Every call that waits is told; the next turn sends what was in flight and what was not, in order."""
    driver = Driver(frames=1, budget_s=0)
    driver.open("a")
    answers = [driver.put("a", 1)]
    driver.turn()
    answers.append(driver.put("a", 2))
    driver.sent()
    with pytest.raises(Unavailable) as caught:
        driver.turn(Unavailable("gone"))
    driver.flow.fail(caught.value)
    driver.flow.deliver()
    errors = [answer.exception(0) for answer in answers]
    assert [type(error) for error in errors] == [Unavailable, Unavailable]
    assert errors[0] is not errors[1]
    assert "gone; the row stays with the stream" in str(errors[0])
    assert not driver.flow.is_waiting
    last = driver.put("a", 3)
    driver.turn()
    driver.turn(reply(1, [1]))
    driver.turn()
    driver.turn(reply(2, [2, 3]))
    assert driver.sent() == [([1], [0]), ([2, 3], [1, 2])]
    assert last.result(0).position == 3


def test_no_more_rows_are_in_flight_than_may_be():
    """Those beyond the bound wait in line until others are answered, though there is room for a frame."""
    driver = Driver(rows=2)
    driver.open("a")
    answers = [driver.put("a", value) for value in (1, 2, 3)]
    driver.turn()
    assert not driver.flow.can_send
    driver.turn(reply(1, [1, 2]))
    assert not driver.flow.is_full
    driver.turn()
    assert [values for values, _ in driver.sent()] == [[1, 2], [3]]
    driver.turn(reply(2, [3]))
    assert all(answer.done() for answer in answers)


def test_calls_beyond_the_bound_go_when_the_budget_runs_out():
    """They were never in flight, which is what their error says; those within the bound stay."""
    driver = Driver(rows=2)
    answers = [driver.put("a", value) for value in (1, 2, 3)]
    assert driver.flow.is_full
    driver.flow.fail(Unavailable("gone"))
    driver.flow.deliver()
    kinds = [type(answer.exception(0)) for answer in answers]
    assert kinds == [Unavailable, Unavailable, Overloaded]
    assert driver.flow.is_full
    driver.open("a")
    driver.turn()
    assert driver.sent() == [([1, 2], [0, 1])]


def test_rows_that_stay_are_never_told_to_be_refused(driver):
    """A stream that fails for another reason leaves them in doubt; the reason is the error's cause."""
    answer = driver.put("a", 1)
    driver.turn()
    with pytest.raises(AccessDenied) as caught:
        driver.turn(AccessDenied("who are you"))
    driver.flow.fail(caught.value)
    driver.flow.deliver()
    told = answer.exception(0)
    assert isinstance(told, Unacknowledged)
    assert "who are you" in str(told)
    assert told.__cause__ is caught.value


def test_a_session_that_is_refused_fails_its_own_calls():
    """Positions of sessions first seen are asked for side by side; the refused id's rows are not sent."""
    driver = Driver()
    answers = [driver.put(name, value) for name, value in [("bad", 1), ("good", 2), ("bad", 3)]]
    (asked,) = driver.turn([InvalidRequest("too long", field="session_id"), found(5)])
    assert isinstance(asked, CallMany)
    assert [request.session_id for request in asked.requests] == ["bad", "good"]
    assert driver.sent() == [([2], [5])]
    for answer in (answers[0], answers[2]):
        assert answer.exception(0).field == "session_id"
    assert not answers[1].done()
    assert driver.stream.position("bad") is None


def test_calls_are_not_lost_while_positions_are_asked_for():
    """A turn that is cut off there puts its calls back where they stood."""
    driver = Driver()
    driver.put("a", 1)
    driver.put("a", 2)
    steps = driver.flow.turn()
    assert isinstance(next(steps), CallMany)
    steps.close()
    driver.turn([found(0)])
    assert driver.sent() == [([1, 2], [0, 1])]


def test_a_model_that_is_not_there_fails_every_call():
    """The model is asked for before the first frame; there is no use in keeping rows for none."""
    driver = Driver(model="m")
    answers = [driver.put("a", 1), driver.put("b", 2)]
    (asked,) = driver.turn(NotFound("no such model"))
    assert isinstance(asked, Call)
    assert all(isinstance(answer.exception(0), NotFound) for answer in answers)
    assert driver.flow.is_idle


def test_a_wrong_row_is_told_to_its_future_where_the_model_was_not_known():
    """Its neighbours go without it; once the model is known the call itself raises."""
    driver = Driver(model="m")
    driver.open("a")
    wrong, right = driver.put("a", [[1, 2]]), driver.put("a", 3)
    model = model_pb2.Model(
        name="m", features=[model_pb2.Feature(name="y")], horizon=1, quantile_levels=[0.5]
    )
    driver.turn(model_pb2.GetModelResponse(model=model))
    assert isinstance(wrong.exception(0), ValueError)
    assert driver.sent() == [([3], [0])]
    assert not right.done()
    with pytest.raises(ValueError, match="rows: expected"):
        driver.put("a", [[1, 2]])


def test_a_call_too_large_for_a_message_is_refused_alone(driver):
    """The frame it would make is not sent."""
    large, small = driver.put("a", [0.0] * 2000), driver.put("a", 1)
    driver.turn()
    driver.turn()
    assert "at most 10000 bytes" in str(large.exception(0))
    assert driver.sent() == [([1], [0])]
    assert not small.done()


def test_a_caller_that_gave_up_harms_no_other(driver):
    """Its future is left alone, its row applied like the others."""
    answers = [driver.put("a", 1), driver.put("a", 2)]
    driver.turn()
    answers[0].cancel()
    driver.turn(reply(1, [1, 2]))
    assert answers[0].cancelled()
    assert answers[1].result(0).position == 2


def test_a_frame_of_the_callers_own_comes_after_rows_collected_before_it(driver):
    """The order of a session is that of the calls, whichever way they went."""
    driver.put("a", 1)
    submit = driver.flow.behind(driver.stream.submit(["a"], [2], None, None, "none", None))
    steps = list(_until_done(submit))
    frames = [s.request.frame for s in steps if isinstance(s, Send) and s.request.HasField("frame")]
    assert [unpack(frame.values, VALUE, "").tolist() for frame in frames] == [[1], [2]]
    assert [unpack(frame.handles, HANDLE, "").tolist() for frame in frames] == [[0], [0]]


def _until_done(steps):
    try:
        while True:
            yield next(steps)
    except StopIteration:
        return


@pytest.mark.parametrize("bound", ["max_rows_a_frame", "max_rows_in_flight"])
def test_bounds_leave_room_for_a_row(bound):
    """A bound of none would wait for ever."""
    stream = StreamFlow(MODEL, RetryPolicy(), 1, 1000)
    bounds = {"max_rows_a_frame": 1, "max_rows_in_flight": 1, bound: 0}
    with pytest.raises(ValueError, match=f"{bound}: expected at least 1, found 0"):
        RowFlow(stream, max_message_bytes=1000, **bounds)
