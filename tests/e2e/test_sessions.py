"""SessionService: what the server remembers, and forgetting it."""

import grpc
import pytest

import statecast
from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import forecast_pb2_grpc, session_pb2, session_pb2_grpc
from tests.browser.rows import open_sessions
from tests.server_process import serving

HOUR_US = 3_600_000_000


@pytest.fixture
def forecasts(channel):
    """The forecast service."""
    return forecast_pb2_grpc.ForecastServiceStub(channel)


@pytest.fixture
def sessions(channel):
    """The session service."""
    return session_pb2_grpc.SessionServiceStub(channel)


def _rows(*hours):
    return [pb.Row(values=[float(hour)], time_us=hour * HOUR_US) for hour in hours]


def test_a_session_tells_what_it_consumed(forecasts, sessions, repository):
    """Position, last time, and the model version that holds it; late rows count."""
    applied = forecasts.Forecast(pb.ForecastRequest(model="gru", session_id="told", rows=_rows(1, 2, 5, 4)))
    assert (applied.position, applied.num_late, applied.num_missing_steps) == (4, 1, 2)
    told = sessions.GetSession(session_pb2.GetSessionRequest(model="gru", session_id="told")).session
    assert (told.position, told.last_time_us, told.model_version) == (4, 5 * HOUR_US, 1)
    assert told.model_digest.startswith("sha256:")


def test_a_deleted_session_starts_anew(forecasts, sessions):
    """Deleting answers with the session as it stood; its next row is the first again."""
    request = pb.ForecastRequest(model="gru", session_id="deleted", rows=_rows(1, 2))
    first = forecasts.Forecast(request)
    named = {"model": "gru", "session_id": "deleted"}
    ended = sessions.DeleteSession(session_pb2.DeleteSessionRequest(**named)).session
    assert ended.position == 2
    with pytest.raises(grpc.RpcError, match="has no session 'deleted'"):
        sessions.GetSession(session_pb2.GetSessionRequest(**named))
    assert forecasts.Forecast(request) == first


@pytest.mark.parametrize(
    ("model", "session_id", "code", "message"),
    [
        ("gru", "never-seen", grpc.StatusCode.NOT_FOUND, "model 'gru' has no session 'never-seen'"),
        ("absent", "a", grpc.StatusCode.NOT_FOUND, "model 'absent' is not served"),
        ("gru", "x" * 257, grpc.StatusCode.INVALID_ARGUMENT, "session_id: expected 1 to 256 bytes"),
    ],
)
def test_an_unknown_session_is_not_found(model, session_id, code, message, sessions):
    """Reading and deleting say the same."""
    for call, request in (
        (sessions.GetSession, session_pb2.GetSessionRequest),
        (sessions.DeleteSession, session_pb2.DeleteSessionRequest),
    ):
        with pytest.raises(grpc.RpcError, match=message) as caught:
            call(request(model=model, session_id=session_id))
        assert caught.value.code() is code


def test_models_do_not_share_sessions(forecasts, sessions):
    """A session id is a name within one model."""
    forecasts.Forecast(pb.ForecastRequest(model="gru", session_id="shared-name", rows=_rows(1)))
    with pytest.raises(grpc.RpcError, match="model 'two' has no session"):
        sessions.GetSession(session_pb2.GetSessionRequest(model="two", session_id="shared-name"))


def test_a_session_too_many_is_refused_for_good(repository):
    """The client learns at once that waiting does not help, unary and in a frame; the others go on."""
    with serving(repository, "--max-sessions", "1") as small, statecast.Client(small.address) as client:
        client.session("gru", "first").observe(1.0)
        with pytest.raises(statecast.Overloaded, match="max_sessions") as caught:
            client.session("gru", "second").observe(1.0)
        assert not caught.value.retryable
        with client.stream("gru") as stream:
            replies = stream.forecast({"first": 2.0, "second": 2.0})
        assert replies["first"].position == 2
        assert isinstance(replies["second"], statecast.Overloaded)


def test_many_sessions_in_memory_are_listed_once_each(repository):
    """In order of their ids, those that have left memory among them; as many as are looked for aside."""
    names = [f"many-{number:05d}" for number in range(10_500)]
    with (
        serving(repository, "--max-resident-sessions", "10250") as server,
        statecast.Client(server.address) as client,
    ):
        for first in range(0, len(names), 5_250):
            open_sessions(server, "gru", names[first : first + 5_250][::-1], num_features=1)
        assert [each.session_id for each in client.sessions("gru").list()] == names
        found = [each.session_id for each in client.sessions("gru").list(prefix="many-1")]
        assert found == names[10_000:]
