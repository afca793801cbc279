"""The HTTP port: probes, counts of calls, and log lines that machines read."""

import http.client
import signal
import socket
import subprocess
import sys
import threading

import grpc
import pytest

from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import forecast_pb2_grpc, session_pb2, session_pb2_grpc
from tests.certificates import Authority
from tests.http_port import FLAGS, address_of, family, fetch, samples
from tests.server_process import clean_environment, serving

FORECAST = "ForecastService/Forecast"


@pytest.fixture(scope="module")
def server(repository):
    with serving(repository, *FLAGS) as running:
        yield running


def test_a_server_that_serves_lives_and_is_ready(server):
    """Both probes, and the same in the counts."""
    address = address_of(server)
    assert fetch(address, "/livez") == (200, "alive\n")
    assert fetch(address, "/readyz") == (200, "ready\n")
    assert fetch(address, "/elsewhere")[0] == 404
    assert family(server, "statecast_ready") == {(): 1.0}


def _health(http_address):
    """The image's health check, with the server's own variable."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "health", "--http"],
        capture_output=True, text=True, timeout=60,
        env=clean_environment(STATECAST_HTTP_ADDRESS=http_address),
    )  # fmt: skip


def test_the_health_check_needs_no_certificate(repository, tmp_path):
    """A server with mutual TLS, which listens everywhere, is healthy; none is not."""
    authority = Authority(tmp_path)
    cert, key = authority.sign("server")
    flags = ["--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(authority.ca)]
    with serving(repository, *flags, "--http-address", "0.0.0.0:0") as server:
        address = address_of(server)
        done = _health(address)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{address}: ready\n", "")
    done = _health(address)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"statecast health: {address}: ")


@pytest.mark.parametrize(
    ("answer", "stdout", "stderr"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 10\r\n\r\nnot ready\n", "{}: not ready\n", ""),
        (b"SSH-2.0-OpenSSH\r\n", "", "statecast health: {}: no answer in HTTP: BadStatusLine"),
    ],
)
def test_what_is_not_ready_is_not_healthy(answer, stdout, stderr):
    """Nor is what speaks something else."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"

        def reply():
            connection, _ = listening.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        done = _health(address)
        thread.join()
    assert (done.returncode, done.stdout) == (1, stdout.format(address))
    assert done.stderr.startswith(stderr.format(address))


@pytest.mark.parametrize("address", ["8080", "127.0.0.1:", "127.0.0.1:http"])
def test_the_health_check_says_what_is_wrong_with_an_address(address):
    """One line, and 1."""
    done = _health(address)
    assert done.returncode == 1
    assert done.stderr == f"statecast health: STATECAST_HTTP_ADDRESS {address!r}: expected host:port\n"


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        (["--http-address", "0.0.0.0:0"], 403),
        (["--http-address", "0.0.0.0:0", "--metrics"], 200),
        (["--http-address", "0.0.0.0:0", "--insecure"], 200),
        (["--http-address", "0.0.0.0:0", "--insecure", "--no-metrics"], 403),
    ],
)
def test_counts_are_told_to_others_where_that_was_said(repository, flags, status):
    """By a word for them or for the whole network; probes are answered wherever the port was put."""
    with serving(repository, *flags) as server:
        address = address_of(server).replace("0.0.0.0", "127.0.0.1")
        assert fetch(address, "/livez") == (200, "alive\n")
        assert fetch(address, "/readyz") == (200, "ready\n")
        found, text = fetch(address, "/metrics")
        assert found == status
        assert ("statecast_ready 1.0" in text) is (status == 200)
        assert ("--metrics" in text) is (status == 403)


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
            while family(server, "statecast_requests_open").get(("ForecastService/StreamForecasts",)) != 1:
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
    before = family(server, "statecast_requests_total")
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
        assert family(server, "statecast_requests_open")["SessionService/WatchSessions",] == 1
        watch.cancel()
        for method in ("/statecast.v1.ForecastService/Nonsense", "/other/Nonsense"):
            with pytest.raises(grpc.RpcError) as raised:
                channel.unary_unary(method, lambda _: b"")(b"")
            assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
        while family(server, "statecast_requests_open")["SessionService/WatchSessions",]:
            pass
    after = family(server, "statecast_requests_total")
    counted = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    assert counted == {
        (FORECAST, "OK"): 3,
        (FORECAST, "NOT_FOUND"): 1,
        ("SessionService/WatchSessions", "CANCELLED"): 1,
        ("unknown", "UNIMPLEMENTED"): 2,
    }
    assert family(server, "statecast_request_seconds_count")[FORECAST,] >= 4


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
