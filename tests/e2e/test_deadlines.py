"""Calls that end before their rows have had their turn: at a deadline, or because the caller left."""

import grpc
import numpy as np
import pytest

from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import forecast_pb2_grpc, session_pb2, session_pb2_grpc
from tests.frames import OpenRequests, forecasts_of, frame, opening
from tests.reference import assert_close
from tests.server_process import serving

# Rows enough to be under way for a hundred times as long as a deadline here.
NUM_ROWS = 1_500_000


@pytest.fixture(scope="module")
def server(repository):
    """A server that takes a very long history in one message."""
    flags = ("--max-rows-per-chunk", str(NUM_ROWS), "--max-queued-rows", str(4 * NUM_ROWS))
    with serving(repository, *flags) as running:
        yield running


@pytest.fixture
def stub(channel):
    """The service."""
    return forecast_pb2_grpc.ForecastServiceStub(channel)


class Sessions:
    """What the server knows of the sessions of `gru`."""

    def __init__(self, channel):
        self._stub = session_pb2_grpc.SessionServiceStub(channel)

    def position(self, session_id):
        """Rows consumed, 0 for no session."""
        try:
            answer = self._stub.GetSession(session_pb2.GetSessionRequest(model="gru", session_id=session_id))
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND
            return 0
        return answer.session.position

    def wait_for(self, session_id, position):
        """Ask until a session has consumed so many rows."""
        while (found := self.position(session_id)) < position:
            continue
        return found


@pytest.fixture
def sessions(channel):
    """What the server knows of sessions."""
    return Sessions(channel)


@pytest.fixture
def open_stream(stub):
    """Opens streams of sessions, which end with the test: (requests, responses)."""
    opened = []

    def open_one(*session_ids):
        requests = OpenRequests()
        opened.append(requests)
        responses = stub.StreamForecasts(requests)
        requests.send(opening("gru", *session_ids))
        return requests, responses

    yield open_one
    for requests in opened:
        requests.close()


def whole_history():
    """A history from its session's first row on."""
    values = np.sin(np.arange(NUM_ROWS) / 7)
    return frame([0], values, lengths=[NUM_ROWS], positions=[0])


@pytest.fixture
def begin_history(open_stream, sessions):
    """Sends one on a stream of its own, and waits until some of it is applied; returns the responses."""

    def begin(session_id):
        requests, responses = open_stream(session_id)
        requests.send(whole_history())
        sessions.wait_for(session_id, 1)
        return responses

    return begin


def call(session_id, num_rows):
    """A unary call of so many rows."""
    return pb.ForecastRequest(model="gru", session_id=session_id, rows=[pb.Row(values=[1.0])] * num_rows)


@pytest.mark.parametrize("num_rows", [1, 2, 20])
def test_a_call_whose_deadline_passes_while_it_waits_changes_nothing(num_rows, stub, sessions, begin_history):
    """Behind its session's history it is answered in time; the session stands where the history ends."""
    session_id = f"deadline-{num_rows}"
    history = begin_history(session_id)
    with pytest.raises(grpc.RpcError) as caught:
        # The name that a deadline has on the wire: this client itself would wait for ever.
        stub.Forecast(call(session_id, num_rows), metadata=[("grpc-timeout", "10m")])
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert positions_of(next(history)) == [NUM_ROWS]
    assert sessions.position(session_id) == NUM_ROWS
    assert stub.Forecast(call(session_id, num_rows)).position == NUM_ROWS + num_rows


def test_frames_of_a_stream_that_was_left_are_not_applied_and_the_server_goes_on(
    stub, sessions, begin_history, open_stream
):
    """Rows and frames that wait behind a history when their caller leaves go without a trace."""
    history = begin_history("left")
    requests, responses = open_stream("left", "left-beside", "left-behind")
    for request in (
        frame([0], [1.0]),
        frame([0], [1.0]),
        frame([0, 1], [1.0, 1.0]),
        frame([0, 0], [1.0] * 20, lengths=[18, 2]),
        frame([2], [1.0]),
    ):
        requests.send(request)
    # The last is applied, and read after the others; its answer waits for theirs.
    sessions.wait_for("left-behind", 1)
    responses.cancel()
    assert positions_of(next(history)) == [NUM_ROWS]
    assert stub.Forecast(call("left", 1)).position == NUM_ROWS + 1
    assert sessions.position("left-beside") == 1


def test_a_history_that_was_left_half_way_is_made_whole_by_sending_it_again(begin_history, open_stream):
    """The slices that were applied are skipped; the forecast is that of a history nobody left."""
    whole = next(begin_history("whole"))
    begin_history("half").cancel()
    requests, responses = open_stream("half")
    # Behind what is left of the first, if anything is.
    requests.send(whole_history())
    response = next(responses)
    assert positions_of(response) == [NUM_ROWS]
    (skipped,) = np.frombuffer(response.num_skipped, "<u4").tolist()
    assert 0 < skipped < NUM_ROWS
    assert_close(forecasts_of(response)[0][0], forecasts_of(whole)[0][0])


def positions_of(response):
    """(N,)."""
    return np.frombuffer(response.positions, "<i8").tolist()
