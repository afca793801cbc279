"""`statecast stream` and `statecast health`, as a user runs them."""

import json
import subprocess
import sys
from concurrent import futures

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.fake_server import MODEL, REFUSED_VALUE, FakeServer

LIMIT_S = 60


@pytest.fixture
def server():
    running = FakeServer()
    yield running
    running.stop()


def _statecast(*arguments, given=None):
    return subprocess.run(
        [sys.executable, "-m", "cli", *map(str, arguments)],
        input=given, capture_output=True, timeout=LIMIT_S, encoding="utf-8",
    )  # fmt: skip


def _stream(server, *arguments, given=None):
    return _statecast("stream", "--server", server.target, *arguments, given=given)


@pytest.fixture
def two_series(tmp_path):
    """Two series in turn; the second one's last value is missing. A spreadsheet wrote it: it has a mark."""
    path = tmp_path / "meters.csv"
    path.write_text(
        "\ufeffunique_id,ds,y\na,2024-01-01,1\nb,2024-01-01,2\na,2024-01-02,3\nb,2024-01-02,\n", "utf-8"
    )
    return path


def test_a_file_gives_a_forecast_for_each_row(server, two_series):
    """JSON lines in the order of the rows: session, position, time, and steps for each level; NaN is null."""
    done = _stream(server, "--model", MODEL, "--data", two_series, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["session"], line["position"]) for line in lines] == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert lines[2]["time"] == "2024-01-02T00:00:00"
    assert lines[2]["quantiles"] == {"0.1": [4.1, 5.1, 6.1], "0.5": [4.5, 5.5, 6.5], "0.9": [4.9, 5.9, 6.9]}
    assert lines[3]["quantiles"]["0.5"] == [None, None, None]


def test_only_the_last_forecast_of_each_series(server, two_series):
    """The rows before it are observed, in order."""
    done = _stream(server, "--data", two_series, "--json", "--reply", "last", "--horizon", 1)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["session"], line["position"]) for line in lines] == [("a", 2), ("b", 2)]
    assert lines[0]["quantiles"] == {"0.1": [4.1], "0.5": [4.5], "0.9": [4.9]}
    assert server.values("a") == [1, 3]


def test_no_forecast_at_all(server, two_series):
    """Rows are observed and nothing is printed."""
    done = _stream(server, "--data", two_series, "--reply", "none")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert server.values("a") == [1, 3]


def test_a_file_streamed_twice_changes_nothing(server, two_series):
    """Its rows are late the second time, which is said."""
    _stream(server, "--data", two_series)
    done = _stream(server, "--data", two_series)
    assert done.returncode == 0
    assert "4 rows were at or before the last time of their session" in done.stderr
    assert server.values("a") == [1, 3]


def test_a_table_has_a_line_a_forecast(server, two_series):
    """Without --json a header once, then each row's next step."""
    done = _stream(server, "--data", two_series)
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["session", "position", "time", "next", "q0.1", "next", "q0.5", "next", "q0.9"]
    assert lines[2].split() == ["a", "2", "2024-01-02", "00:00:00", "4.1", "4.5", "4.9"]


def test_a_pipe_is_answered_line_by_line(server):
    """The forecast of a row comes before the next row is written."""
    command = [sys.executable, "-m", "cli", "stream", "--server", server.target, "--data", "-", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for position, value in enumerate((1, 2.5), start=1):
            print(value, file=process.stdin, flush=True)
            line = json.loads(process.stdout.readline())
            assert (line["session"], line["position"]) == ("stdin", position)
        process.stdin.close()
        assert process.wait(LIMIT_S) == 0
    assert server.values("stdin") == [1, 2.5]


@pytest.mark.parametrize(
    ("given", "arguments", "words"),
    [
        ("z\n1\n", [], "stdin, line 1, header: expected columns y"),
        ("y\nmany\n", [], "stdin, line 2, y: expected a number or an empty cell, found 'many'"),
        (f"y\n{REFUSED_VALUE}\n", [], "stdin, line 2: rows[0].values: not"),
        ("1\n", ["--horizon", 9], "horizon: expected 1 to 3"),
        ("1\n", ["--model", "other"], "model: no such model"),
    ],
)
def test_an_error_is_one_line(server, given, arguments, words):
    """It says what was wrong and where; the exit status is 2."""
    done = _stream(server, "--data", "-", *arguments, given=given)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("statecast stream: ")
    assert words in line


def test_a_file_that_is_not_there(server):
    """An error of the system is one line too."""
    done = _stream(server, "--data", "nowhere.csv")
    assert done.returncode == 2
    assert done.stderr.startswith("statecast stream: nowhere.csv: No such file or directory; --data names")


def test_a_server_that_is_not_there(server):
    """The error names the server."""
    server.stop()
    done = _stream(server, "--data", "-", "--retry-budget-s", 0, given="1\n")
    assert done.returncode == 2
    assert done.stderr.startswith(f"statecast stream: {server.target}: ")
    server.start()


@pytest.fixture
def health_server():
    servicer = health.HealthServicer()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer, f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.mark.parametrize(("state", "status"), [("SERVING", 0), ("NOT_SERVING", 1)])
def test_health_is_the_exit_status(health_server, state, status):
    """A container's health check sees 0 from a server that serves and 1 from one that drains."""
    servicer, target = health_server
    servicer.set("", health_pb2.HealthCheckResponse.ServingStatus.Value(state))
    done = _statecast("health", "--server", target)
    assert (done.returncode, done.stdout) == (status, f"{target}: {state}\n")


def test_health_of_nothing_is_1(server):
    """No server, or one without the health service, is not healthy; the error is one line."""
    done = _statecast("health", "--server", server.target)
    assert done.returncode == 1
    assert done.stderr.startswith(f"statecast health: {server.target}: UNIMPLEMENTED")
