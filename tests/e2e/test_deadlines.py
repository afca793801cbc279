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


class History:
    """A long history under way, on a stream of its own."""

    def __init__(self, stub, sessions, session_id):
        self.values = np.sin(np.arange(NUM_ROWS) / 7)
        self._requests = OpenRequests()
        self._responses = stub.StreamForecasts(self._requests)
        self._requests.send(opening("gru", session_id))
        self._requests.send(self.request())
        sessions.wait_for(session_id, 1)

    def request(self):
        """All of it, from the session's first row."""
        return frame([0], self.values, lengths=[NUM_ROWS], positions=[0])

    def answer(self):
        """Wait for its end."""
        response = next(self._responses)
        self._requests.close()
        return response

    def cancel(self):
        """The caller leaves."""
        self._responses.cancel()
        self._requests.close()


def call(session_id, num_rows):
    """A unary call of so many rows."""
    return pb.ForecastRequest(model="gru", session_id=session_id, rows=[pb.Row(values=[1.0])] * num_rows)


@pytest.mark.parametrize("num_rows", [1, 2, 20])
def test_a_call_whose_deadline_passes_while_it_waits_changes_nothing(num_rows, stub, sessions):
    """Behind its session's history it is answered in time; the session stands where the history ends."""
    session_id = f"deadline-{num_rows}"
    history = History(stub, sessions, session_id)
    with pytest.raises(grpc.RpcError) as caught:
        # The name that a deadline has on the wire: this client itself would wait for ever.
        stub.Forecast(call(session_id, num_rows), metadata=[("grpc-timeout", "10m")])
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    response = history.answer()
    assert np.frombuffer(response.positions, "<i8").tolist() == [NUM_ROWS]
    assert sessions.position(session_id) == NUM_ROWS
    assert stub.Forecast(call(session_id, num_rows)).position == NUM_ROWS + num_rows


def test_frames_of_a_stream_that_was_left_are_not_applied_and_the_server_goes_on(stub, sessions):
    """Rows and frames that wait behind a history when their caller leaves go without a trace."""
    history = History(stub, sessions, "left")
    requests = OpenRequests()
    responses = stub.StreamForecasts(requests)
    requests.send(opening("gru", "left", "left-beside", "left-behind"))
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
    requests.close()
    response = history.answer()
    assert np.frombuffer(response.positions, "<i8").tolist() == [NUM_ROWS]
    assert stub.Forecast(call("left", 1)).position == NUM_ROWS + 1
    assert sessions.position("left-beside") == 1


def test_a_history_that_was_left_half_way_is_made_whole_by_sending_it_again(stub, sessions):
    """The slices that were applied are skipped; the forecast is that of a history nobody left."""
    whole = History(stub, sessions, "whole").answer()
    history = History(stub, sessions, "half")
    history.cancel()
    # Behind what is left of it, if anything is.
    found = stub.StreamForecasts(iter([opening("gru", "half"), history.request()]))
    (response,) = found
    assert np.frombuffer(response.positions, "<i8").tolist() == [NUM_ROWS]
    (skipped,) = np.frombuffer(response.num_skipped, "<u4").tolist()
    assert 0 < skipped < NUM_ROWS
    assert_close(forecasts_of(response)[0][0], forecasts_of(whole)[0][0])
