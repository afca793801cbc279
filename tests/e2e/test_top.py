"""`statecast top`, as somebody watches a server with it."""

import json
import subprocess

import pytest

import statecast as sdk
from tests.http_port import address_of
from tests.server_process import ServerProcess, serving
from tests.terminal import Terminal, statecast

LIMIT_S = 60


@pytest.fixture(scope="module")
def server(repository):
    with serving(repository, "--http-address", "127.0.0.1:0") as running:
        yield running


def _top(*arguments):
    return subprocess.run(
        statecast("top", *arguments), capture_output=True, timeout=LIMIT_S, encoding="utf-8"
    )


def _send(server, num_rows, session="meter"):
    with sdk.Client(server.address) as client, client.stream("gru") as stream:
        for row in range(num_rows):
            stream.forecast({session: float(row)})


def test_rows_show_on_the_screen_as_they_come(server):
    """Rows a second, a latency and the session, after rows came while the screen was open; Ctrl-C ends it."""
    command = statecast("top", "--http", address_of(server), "--interval-s", 0.3)
    with Terminal(command, columns=80) as terminal:
        terminal.expect(r"\ngru +1 +0 +- +- +- +- +0 ", r"\ntwo +1 ", "ready, up")
        _send(server, 5)
        # The version, rows a second, rows a batch, how long they waited and ran, no store, and one session.
        took = r"[\d.]+[um]?s"
        shown = terminal.expect(rf"\ngru +1 +[\d,.]+ +1\.0 +{took} +{took} {took} +- +1 ")
        assert "ForecastService/StreamForecasts" in shown
        terminal.interrupt()
        assert terminal.end() == 0


def test_a_server_that_goes_away_and_comes_back_is_said(repository):
    """Disconnected while it is away, with the reason and what is tried; its numbers again when it is back."""
    with serving(repository, "--http-address", "127.0.0.1:0") as first:
        http = address_of(first)
        command = statecast("top", "--http", http, "--interval-s", 0.1)
        with Terminal(command) as terminal:
            terminal.expect("ready, up")
            first.stop()
            terminal.expect("disconnected", "Connection refused; trying again every 0.1 s")
            with ServerProcess(repository, "--http-address", http):
                terminal.expect("ready, up")


def test_once_as_json(server):
    """One object with the numbers of the models, and nothing else."""
    done = _top("--http", address_of(server), "--once", "--json", "--interval-s", 0.1)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["is_ready"], found["trouble"]) == (True, "")
    assert [(model["model"], model["version"]) for model in found["models"]] == [("gru", 1), ("two", 1)]
    assert found["memory_bytes"] > 1e6


def test_json_lines_go_on_while_the_server_is_away(repository):
    """A script reads a line an interval: with numbers, then with what is wrong and none."""
    with serving(repository, "--http-address", "127.0.0.1:0") as running:
        command = statecast("top", "--http", address_of(running), "--json", "--interval-s", 0.1)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert json.loads(process.stdout.readline())["models"]
            running.stop()
            found = next(line for line in map(json.loads, process.stdout) if line["trouble"])
            assert "models" not in found
            process.kill()


def test_once_without_json_is_a_table(server):
    """For people, away from a terminal as well: a line a model."""
    done = _top("--http", address_of(server), "--once", "--interval-s", 0.1)
    assert done.returncode == 0
    assert any(line.split()[:2] == ["gru", "1"] for line in done.stdout.splitlines())


def test_what_to_do_where_there_is_no_server(server):
    """No port there, or another one: the reason and the option, in one line, with 2 as the status."""
    for address, reason in (("127.0.0.1:1", "Connection refused"), (server.address, "no answer in HTTP")):
        done = _top("--http", address, "--once")
        (line,) = done.stderr.splitlines()
        assert done.returncode == 2
        assert line.startswith(f"statecast top: {address}: {reason}")
        assert "--http-address" in line


def test_metrics_that_are_not_told(repository):
    """The server says what it wants and top which option that is."""
    flags = "--http-address", "127.0.0.1:0", "--no-metrics"
    with serving(repository, *flags) as running:
        done = _top("--http", address_of(running), "--once")
    assert done.returncode == 2
    assert done.stderr.endswith("start the server with --metrics\n")
