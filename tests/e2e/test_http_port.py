"""The HTTP port: probes, counts of calls, and log lines that machines read."""

import http.client
import signal
import threading

import grpc
import pytest

from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import forecast_pb2_grpc, session_pb2, session_pb2_grpc
from tests.http_port import FLAGS, address_of, fetch, samples
from tests.server_process import serving

FORECAST = "ForecastService/Forecast"


@pytest.fixture(scope="module")
def server(repository):
    with serving(repository, *FLAGS) as running:
        yield running


def _calls(server, name="statecast_requests_total"):
    """Numbers of a family by their labels' values."""
    return {tuple(sample.labels.values()): sample.value for sample in samples(server) if sample.name == name}


def test_a_server_that_serves_lives_and_is_ready(server):
    """Both probes, and the same in the counts."""
    address = address_of(server)
    assert fetch(address, "/livez") == (200, "alive\n")
    assert fetch(address, "/readyz") == (200, "ready\n")
    assert fetch(address, "/elsewhere")[0] == 404
    assert _calls(server, "statecast_ready") == {(): 1.0}


def test_a_server_that_drains_lives_and_is_not_ready(repository):
    """From SIGTERM on, while a call is still under way; its last counts can be fetched."""
    with serving(repository, *FLAGS, "--drain-timeout-s", "60") as server:
        address = address_of(server)
        with grpc.insecure_channel(server.address) as channel:
            asked = threading.Event()
            ended = threading.Event()

            def requests():
                asked.set()
                ended.wait(60)
                return
                yield

            # A watch is what keeps a drain waiting: it ends when the server closes it or its reader leaves.
            stream = forecast_pb2_grpc.ForecastServiceStub(channel).StreamForecasts(requests())
            assert asked.wait(30)
            while _calls(server, "statecast_requests_open").get(("ForecastService/StreamForecasts",)) != 1:
                pass
            # The connection is kept, as Prometheus keeps it.
            connection = http.client.HTTPConnection(address, timeout=30)
            connection.request("GET", "/readyz")
            assert connection.getresponse().read() == b"ready\n"
            server.send(signal.SIGTERM)
            server.wait_for("draining")
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (503, b"not ready\n")
            with pytest.raises(grpc.RpcError) as raised:
                next(iter(stream))
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
            ended.set()
        assert server.wait() == 0


def test_calls_are_counted_by_method_and_status(server):
    """Answered, refused and cancelled; streams when they end, and calls of nothing under one name."""
    before = _calls(server)
    with grpc.insecure_channel(server.address) as channel:
        stub = forecast_pb2_grpc.ForecastServiceStub(channel)
        request = pb.ForecastRequest(model="gru", session_id="counted", rows=[pb.Row(values=[1.0])])
        for _ in range(3):
            stub.Forecast(request)
        request.model = "none"
        with pytest.raises(grpc.RpcError):
            stub.Forecast(request)
        watch = session_pb2_grpc.SessionServiceStub(channel).WatchSessions(
            session_pb2.WatchSessionsRequest(model="gru")
        )
        watch.initial_metadata()
        assert _calls(server, "statecast_requests_open")["SessionService/WatchSessions",] == 1
        watch.cancel()
        for method in ("/statecast.v1.ForecastService/Nonsense", "/other/Nonsense"):
            with pytest.raises(grpc.RpcError) as raised:
                channel.unary_unary(method, lambda _: b"")(b"")
            assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
        while _calls(server, "statecast_requests_open")["SessionService/WatchSessions",]:
            pass
    after = _calls(server)
    counted = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    assert counted == {
        (FORECAST, "OK"): 3,
        (FORECAST, "NOT_FOUND"): 1,
        ("SessionService/WatchSessions", "CANCELLED"): 1,
        ("unknown", "UNIMPLEMENTED"): 2,
    }
    assert _calls(server, "statecast_request_seconds_count")[FORECAST,] >= 4


def test_log_lines_of_a_call_bear_the_id_that_its_caller_gave(repository):
    """Where it is one; otherwise none, and never the text that was sent."""
    with serving(repository, "--log-level", "debug") as server:
        with grpc.insecure_channel(server.address) as channel:
            stub = forecast_pb2_grpc.ForecastServiceStub(channel)
            request = pb.ForecastRequest(model="gru", session_id="named", rows=[pb.Row(values=[1.0])])
            stub.Forecast(request, metadata=[("x-request-id", "order-17:a")])
            stub.Forecast(request, metadata=[("x-request-id", "two words")])
            stub.Forecast(request, metadata=[("statecast-correlation-id", "b" * 64)])
        server.stop()
        calls = [line for line in server.log if line["event"] == "call"]
    assert [line.get("correlation_id") for line in calls] == ["order-17:a", None, "b" * 64]
    assert {(line["method"], line["status"], line["level"]) for line in calls} == {(FORECAST, "OK", "debug")}


def test_no_label_grows_with_what_callers_say(server):
    """Sessions, made-up models and made-up methods add no series."""
    with grpc.insecure_channel(server.address) as channel:
        stub = forecast_pb2_grpc.ForecastServiceStub(channel)
        row = pb.Row(values=[1.0])

        def send(number):
            stub.Forecast(pb.ForecastRequest(model="gru", session_id=f"label-{number}", rows=[row]))
            for call in (
                lambda: stub.Forecast(pb.ForecastRequest(model=f"m{number}", session_id="s", rows=[row])),
                lambda: channel.unary_unary(f"/a{number}/B", lambda _: b"")(b""),
            ):
                with pytest.raises(grpc.RpcError):
                    call()

        send(0)
        before = {(sample.name, *sorted(sample.labels.items())) for sample in samples(server)}
        for number in range(1, 20):
            send(number)
        after = {(sample.name, *sorted(sample.labels.items())) for sample in samples(server)}
    assert after == before
