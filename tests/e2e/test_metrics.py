"""What Prometheus fetches is what the replies said."""

import itertools
import signal
import subprocess
import sys

import grpc
import numpy as np
import pytest

import statecast
from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import forecast_pb2_grpc
from tests.frames import frame, opening
from tests.http_port import samples
from tests.server_process import clean_environment, serving

FLAGS = ("--http-address", "127.0.0.1:0")
HOUR_US = 3_600_000_000
# Rows consumed before, or None; hours of the rows. A duplicate, a late row, gaps of 3 and 2 steps, a late row
# beside a new one, and a position that was never reached.
SENT = [(None, [0]), (None, [1]), (0, [0]), (None, [1]), (None, [5]), (4, [3]), (None, [8]), (50, [9])]
EXPECTED = {"rows_applied": 4, "rows_skipped": 1, "rows_late": 2, "missing_steps": 5, "rows_refused": 1}
REPLIED = ("rows_skipped", "rows_late", "missing_steps")


@pytest.fixture(scope="module")
def server(repository):
    with serving(repository, *FLAGS) as running:
        yield running


def _metrics(server, model="gru"):
    """Each of a model's numbers, by name; sessions by place."""
    found = {}
    for sample in samples(server):
        name = sample.name.removeprefix("statecast_").removesuffix("_total")
        if sample.labels == {"model": model}:
            found[name] = sample.value
        elif sample.labels.get("model") == model and "place" in sample.labels:
            found[f"{name}_in_{sample.labels['place']}"] = sample.value
    return found


def test_what_coverage_should_be_is_told_beside_what_it_is(server):
    """Of the model's own outermost levels."""
    with statecast.Client(server.address) as client:
        levels = client.model("gru").quantile_levels
    assert _metrics(server)["coverage_expected"] == pytest.approx(levels[-1] - levels[0])


def _unary(stub, name):
    """Each entry by itself; returns (skipped, late, missing) in all, and how many were refused."""
    counts, num_refused = np.zeros(3, int), 0
    for position, hours in SENT:
        rows = [pb.Row(values=[1.5], time_us=hour * HOUR_US) for hour in hours]
        request = pb.ForecastRequest(model="gru", session_id=name, rows=rows, position=position)
        try:
            reply = stub.Forecast(request)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.ABORTED
            num_refused += 1
        else:
            counts += reply.num_skipped, reply.num_late, reply.num_missing_steps
    return counts, num_refused


def _streamed(stub, name, num_sessions):
    """The same of one session or several side by side, a message for each entry of theirs."""
    handles = range(num_sessions)
    messages = [
        frame(
            handles,
            [1.5] * num_sessions,
            positions=[-1 if position is None else position] * num_sessions,
            times_us=[hours[0] * HOUR_US] * num_sessions,
            reply=pb.REPLY_LAST,
        )
        for position, hours in SENT
    ]
    opened = opening("gru", *(f"{name}-{handle}" for handle in handles))
    counts, num_refused = np.zeros(3, int), 0
    for reply in stub.StreamForecasts(itertools.chain([opened], messages)):
        assert not reply.HasField("frame_error")
        columns = (reply.num_skipped, reply.num_late, reply.num_missing_steps)
        counts += [int(np.frombuffer(column, "<u4").sum()) for column in columns]
        num_refused += len(reply.entry_errors)
    return counts, num_refused


@pytest.mark.parametrize("way", ["unary", "row", "frame"])
def test_counts_are_those_of_the_replies(way, server):
    """Duplicates, late rows, gaps and refusals count alike however rows are sent, and as the replies say."""
    before = _metrics(server)
    num_sessions = 3 if way == "frame" else 1
    with grpc.insecure_channel(server.address) as channel:
        stub = forecast_pb2_grpc.ForecastServiceStub(channel)
        replied, num_refused = _unary(stub, way) if way == "unary" else _streamed(stub, way, num_sessions)
    after = _metrics(server)
    counted = {name: after[name] - before[name] for name in EXPECTED}
    assert counted == {name: count * num_sessions for name, count in EXPECTED.items()}
    assert replied.tolist() == [counted[name] for name in REPLIED]
    assert num_refused == counted["rows_refused"]
    num_batches = after["batches"] - before["batches"]
    assert num_batches > 0
    for histogram in ("batch_rows", "queue_seconds", "step_seconds"):
        assert after[f"{histogram}_count"] - before[f"{histogram}_count"] == num_batches
    # Duplicates, late rows and refused ones are of a batch too.
    num_sent = sum(len(hours) for _, hours in SENT) * num_sessions
    assert after["batch_rows_sum"] - before["batch_rows_sum"] == num_sent
    assert 0 < after["step_seconds_sum"] - before["step_seconds_sum"] < 60
    assert 0 < after["queue_seconds_sum"] - before["queue_seconds_sum"] < 60
    assert after["store_seconds_count"] == 0
    assert after["sessions_in_memory"] == before["sessions_in_memory"] + num_sessions
    assert after["rows_waiting"] == 0


def test_each_row_of_a_history_is_counted_once(server):
    """Applied in many slices, or refused at the first."""
    before = _metrics(server)
    with statecast.Client(server.address) as client:
        client.session("gru", "history").observe(np.ones(20_000))
    rows = [pb.Row(values=[1.5])] * 20_000
    request = pb.ForecastRequest(model="gru", session_id="history", rows=rows, position=99_999)
    with grpc.insecure_channel(server.address) as channel:
        stub = forecast_pb2_grpc.ForecastServiceStub(channel)
        with pytest.raises(grpc.RpcError):
            stub.Forecast(request)
    after = _metrics(server)
    assert after["rows_applied"] - before["rows_applied"] == 20_000
    assert after["rows_refused"] - before["rows_refused"] == 20_000


def test_sessions_that_leave_come_back_and_are_recovered_are_counted(repository, tmp_path):
    """Of more sessions than memory holds; then the server is killed, and its journal read."""
    flags = (*FLAGS, "--data-dir", str(tmp_path), "--store", "sqlite:", "--max-resident-sessions", "4")
    names = [f"s{number}" for number in range(8)]
    with serving(repository, *flags) as server, statecast.Client(server.address) as client:
        for name in [*names, names[0]]:
            client.session("gru", name).observe(np.ones(2))
        found = _metrics(server)
        assert found["sessions_in_memory"] <= 4
        assert found["sessions_spilled"] >= 5
        assert found["sessions_loaded"] == 1
        assert found["sessions_in_memory"] + found["sessions_in_store"] == len(names)
        assert 0 < found["journal_rows"] <= 18
        assert found["store_seconds_count"] == found["batches"]
        assert found["store_seconds_sum"] > 0
        assert (found["rows_applied"], found["rows_recovered"]) == (18, 0)
        server.send(signal.SIGKILL)
        server.wait()
    with serving(repository, *flags) as server:
        found = _metrics(server)
        assert found["rows_recovered"] > 0
        assert found["rows_applied"] == 0


def test_models_are_counted_apart(server):
    """A model's numbers are its own."""
    before = _metrics(server, "two")
    with statecast.Client(server.address) as client:
        client.session("gru", "apart").observe(np.ones(2))
    assert _metrics(server, "two") == before


def test_nothing_listens_without_the_setting(repository):
    """Off is the default."""
    with serving(repository) as server:
        assert all(line["event"] != "http" for line in server.log)


@pytest.mark.parametrize("address", ["9090", "127.0.0.1:", "127.0.0.1:99999", "192.0.2.1:9090"])
def test_an_address_that_cannot_be_is_refused(address, repository):
    """The server does not start, and names the setting and what was found."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", "serve", "--repository", repository, "--store", "memory:",
         "--address", "127.0.0.1:0", "--http-address", address],
        capture_output=True, text=True, timeout=60, env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 2
    assert f"http_address {address}" in done.stderr.replace("'", "")
