"""Bad input: a clear error that names the field, and nothing half applied."""

import math
import re

import grpc
import pytest

from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import forecast_pb2_grpc, session_pb2, session_pb2_grpc
from tests.frames import frame, opening

INVALID, NOT_FOUND, ABORTED = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ABORTED,
)
GOOD = pb.Row(values=[1.0, 2.0])


def request(**changes):
    fields = {"model": "two", "session_id": "bad", "rows": [GOOD]} | changes
    return pb.ForecastRequest(**fields)


BAD_REQUESTS = {
    "unknown model": (request(model="three"), NOT_FOUND, "model 'three' is not served; served are: gru, two"),
    "no session id": (request(session_id=""), INVALID, "session_id: expected 1 to 256 bytes, found 0 bytes"),
    "long session id": (request(session_id="é" * 129), INVALID, "session_id: .* found 258 bytes"),
    "control character": (request(session_id="a\nb"), INVALID, r"session_id: .*found 'a\\nb'"),
    "empty chunk": (request(rows=[]), INVALID, "rows: expected at least one row"),
    "too many rows": (request(rows=[GOOD] * 51), INVALID, "rows: expected at most 50 .*found 51 rows"),
    "too few features": (
        request(rows=[GOOD, pb.Row(values=[1.0])]),
        INVALID,
        r"rows\[1\].values: expected 2 \(y, temperature\), found 1 values",
    ),
    "infinity": (
        request(rows=[GOOD, pb.Row(values=[math.inf, 2.0])]),
        INVALID,
        "values of row 1, feature 'y': expected a finite number, .*found inf",
    ),
    "missing where required": (
        request(rows=[pb.Row(values=[1.0, math.nan])]),
        INVALID,
        "values of row 0, feature 'temperature': .*requires.*found nan",
    ),
    "horizon": (request(horizon=5), INVALID, "horizon: expected at most 4, .*found 5"),
    "reply": (request(reply=9), INVALID, "reply: expected one of .*REPLY_EACH, found 9"),
    "some times": (
        request(rows=[pb.Row(values=[1, 2], time_us=1), GOOD]),
        INVALID,
        r"rows\[1\].time_us: expected a time for every row",
    ),
    "time outside the calendar": (
        request(rows=[pb.Row(values=[1, 2], time_us=2**62)]),
        INVALID,
        "time_us of row 0: expected microseconds",
    ),
    "position ahead": (request(position=3), ABORTED, "position 3: the session has consumed 0 rows"),
}


@pytest.fixture
def stub(channel):
    """The service."""
    return forecast_pb2_grpc.ForecastServiceStub(channel)


@pytest.fixture
def sessions(channel):
    """What the server knows of sessions."""
    return session_pb2_grpc.SessionServiceStub(channel)


def position_of(sessions, session_id, model="two"):
    """Rows consumed, or None for no session."""
    try:
        answer = sessions.GetSession(session_pb2.GetSessionRequest(model=model, session_id=session_id))
    except grpc.RpcError as error:
        assert error.code() is NOT_FOUND
        return None
    return answer.session.position


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_is_refused_and_opens_nothing(case, stub, sessions):
    """The status fits, the message names field, expectation and finding, and no session is opened."""
    bad, code, message = BAD_REQUESTS[case]
    with pytest.raises(grpc.RpcError, match=message) as caught:
        stub.Forecast(bad)
    assert caught.value.code() is code
    assert position_of(sessions, "bad") is None


def test_an_oversized_message_is_refused(stub):
    """The transport's bound holds, and the server goes on."""
    with pytest.raises(grpc.RpcError, match="larger than max") as caught:
        stub.Forecast(request(session_id="x" * 70_000))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert stub.Forecast(request(session_id="fine")).position == 1


BAD_FRAMES = {
    "no entries": (frame([], []), "frame.handles: expected at least one"),
    "half a handle": (
        pb.StreamForecastsRequest(frame=pb.Frame(id=1, handles=b"\0\0\0\0\0", values=b"\0" * 16)),
        "frame.handles: expected a multiple of 4 bytes, found 5 bytes",
    ),
    "lengths": (
        frame([0, 1], [1, 2] * 2, lengths=[1]),
        r"frame.lengths: expected 2 \(one per entry\), found 1",
    ),
    "positions": (frame([0, 1], [1, 2] * 2, positions=[0]), "frame.positions: expected 2"),
    "times": (frame([0, 1], [1, 2] * 2, times_us=[0]), r"frame.times_us: expected 2 \(one per row\)"),
    "values": (
        frame([0, 1], [1, 2, 3], lengths=[1, 1]),
        r"frame.values: expected 4 \(2 rows x 2 features\), found 3",
    ),
    "horizon": (frame([0], [1, 2], horizon=5), "horizon: expected at most 4"),
    "reply": (frame([0], [1, 2], reply=9), "reply: expected one of"),
    "unknown first handle": (frame([7], [1, 2]), "frame.handles: expected a handle that this stream named"),
    "too large a reply": (
        frame([0, 1] * 50, [1, 2] * 2500, lengths=[25] * 100, reply=pb.REPLY_EACH),
        "reply: expected at most 65536 bytes",
    ),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_a_frame_whose_columns_disagree_is_refused_whole(case, stub, sessions):
    """Nothing of it is applied, the stream stays open, and the next frame goes through."""
    bad, message = BAD_FRAMES[case]
    names = [f"{case}-{number}" for number in range(2)]
    good = frame([0, 1], [1, 2] * 2, number=2)
    refused, answered = stub.StreamForecasts(iter([opening("two", *names), bad, good]))
    assert refused.frame_id == bad.frame.id
    assert refused.frame_error.code == INVALID.value[0]
    assert re.search(message, refused.frame_error.message), refused.frame_error.message
    assert not answered.HasField("frame_error")
    assert [position_of(sessions, name) for name in names] == [1, 1]


def test_a_bad_entry_does_not_fail_its_neighbours(stub, sessions):
    """Each bad entry of a frame has its own error; the others are applied and answered."""
    names = [f"neighbour-{number}" for number in range(6)]
    mixed = frame(
        [0, 1, 2, 3, 99, 4, 5],
        [1, 2, math.inf, 2, 1, math.nan, 1, 2, 1, 2, 1, 2],
        lengths=[1, 1, 1, 1, 1, 1, 0],
        positions=[0, 0, 0, 8, 0, -5, 0],
    )
    (response,) = stub.StreamForecasts(iter([opening("two", *names), mixed]))
    found = {error.entry: (error.code, error.field) for error in response.entry_errors}
    assert found == {
        1: (INVALID.value[0], "frame entry 1: values of row 0, feature 'y'"),
        2: (INVALID.value[0], "frame entry 2: values of row 0, feature 'temperature'"),
        3: (ABORTED.value[0], "position"),
        4: (INVALID.value[0], "frame entry 4: handle"),
        5: (INVALID.value[0], "frame entry 5: position"),
        6: (INVALID.value[0], "frame entry 6: length"),
    }
    assert [position_of(sessions, name) for name in names] == [1, None, None, None, None, None]
    conflict = next(error for error in response.entry_errors if error.entry == 3)
    assert conflict.committed_position == 0


@pytest.mark.parametrize(
    ("bad", "code", "message"),
    [
        (opening("three", "a"), NOT_FOUND, "model 'three' is not served"),
        (opening("two", ""), INVALID, r"sessions\[0\].session_id: expected 1 to 256 bytes"),
        (
            pb.StreamForecastsRequest(sessions=[pb.SessionHandle(handle=2**24, model="two", session_id="a")]),
            INVALID,
            r"sessions\[0\].handle: expected below 16777216",
        ),
    ],
)
def test_a_bad_handle_ends_the_stream_after_its_frames(bad, code, message, stub):
    """Frames sent before it are answered first."""
    good = [opening("two", "before"), frame([0], [1, 2])]
    responses = stub.StreamForecasts(iter([*good, bad]))
    assert next(responses).frame_id == 1
    with pytest.raises(grpc.RpcError, match=message) as caught:
        next(responses)
    assert caught.value.code() is code


def test_handles_of_two_models_do_not_mix_in_a_frame(stub):
    """A frame is of one model; another model's handle is refused on its own."""
    both = opening("two", "mixed")
    both.sessions.add(handle=1, model="gru", session_id="mixed")
    (response,) = stub.StreamForecasts(iter([both, frame([0, 1], [1, 2] * 2)]))
    assert [(error.entry, error.field) for error in response.entry_errors] == [(1, "frame entry 1: handle")]
