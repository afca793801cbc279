"""Callers who mean harm, or are broken: the server answers the others, and its memory stays bounded."""

import socket
import struct
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from benchmarks.attacks import ATTACKS, HELLO, PING, http2
from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import forecast_pb2_grpc
from tests.frames import frame, opening
from tests.server_process import serving

MB = 1 << 20
GOAWAY = 7
PINGS = http2(PING, bytes(8))


@pytest.fixture(scope="module")
def server(repository):
    """As it is without further words."""
    with serving(repository, "--max-message-bytes", str(MB)) as running:
        yield running


@pytest.fixture(scope="module")
def stub(server):
    """A caller who means well."""
    with grpc.insecure_channel(server.address) as channel:
        yield forecast_pb2_grpc.ForecastServiceStub(channel)


def memory(server):
    """Bytes of the server that are in memory."""
    with open(f"/proc/{server.process.pid}/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * 4096


def forecast(stub, name):
    """A row of a caller who means well, answered in good time."""
    request = pb.ForecastRequest(model="gru", session_id=name, rows=[pb.Row(values=[1.0])])
    return stub.Forecast(request, timeout=30).position


def send_without_end(connection, content, most):
    """Until the connection takes no more, which is an error; or until it has taken too much."""
    sent = 0
    while sent < most:
        sent += connection.send(content)


def connected(server):
    """A connection that says nothing yet."""
    host, port = server.address.split(":")
    return socket.create_connection((host, int(port)), timeout=30)


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_server_answers_others_whatever_a_connection_brings(attack, server, stub):
    """Fifty connections of it, left open; memory grows by little."""
    forecast(stub, "before")
    before = memory(server)
    with ExitStack() as opened:
        for _ in range(50):
            connection = opened.enter_context(connected(server))
            try:
                connection.sendall(ATTACKS[attack])
            except OSError:
                # It was shown the door while it spoke.
                continue
        forecast(stub, f"during {attack}")
        assert memory(server) - before < 64 * MB
    forecast(stub, f"after {attack}")


def test_pings_are_answered_and_their_connection_goes_on(server):
    """However many: a connection that gRPC would end for them costs it a second first."""
    num = 20_000
    with connected(server) as connection:
        connection.sendall(HELLO + PINGS * num)
        acknowledged = 0
        with connection.makefile("rb") as replies:
            while acknowledged < num:
                length, kind, flags = struct.unpack(">xH2B", (head := replies.read(9))[:5])
                assert len(head) == 9
                replies.read(length)
                assert kind != GOAWAY
                acknowledged += (kind, flags) == (PING, 1)


def test_answers_that_nobody_reads_do_not_pile_up(server, stub):
    """Of a caller who only pings, the server stops reading."""
    forecast(stub, "before")
    before = memory(server)
    with connected(server) as connection:
        connection.sendall(HELLO)
        connection.settimeout(2)
        with pytest.raises(TimeoutError):
            send_without_end(connection, PINGS * 10_000, most=256 * MB)
        forecast(stub, "beside pings")
        assert memory(server) - before < 32 * MB


def test_idle_connections_cost_little(server, stub):
    """Hundreds of them, where the benchmark has ten thousand."""
    forecast(stub, "before")
    before, num = memory(server), 500
    with ExitStack() as opened:
        for _ in range(num):
            opened.enter_context(connected(server)).sendall(HELLO)
        assert forecast(stub, "beside idle ones") == 1
        assert memory(server) - before < num * 100_000


def heaps_of_threads(server):
    """Where glibc has made one: at a multiple of the most that it may hold; the rest of that is kept free."""
    most, found, end_of = 64 * MB, [], {}
    for line in Path(f"/proc/{server.process.pid}/maps").read_text().splitlines():
        addresses, rights = line.split()[:2]
        start, end = (int(address, 16) for address in addresses.split("-"))
        begun = end_of.pop(start, None)
        if rights == "rw-p":
            end_of[end] = start
        elif rights == "---p" and begun is not None and begun % most == 0 and end == begun + most:
            found.append(begun)
    return found


def test_threads_share_one_heap(server, stub):
    """Of several, each keeps pages for what is left in it, and every wave of connections leaves more."""
    for _ in range(3):
        with ExitStack() as opened:
            for _ in range(200):
                opened.enter_context(connected(server)).sendall(HELLO)
            forecast(stub, "beside a wave")
    assert heaps_of_threads(server) == []


def test_connections_beyond_the_bound_are_closed(repository):
    """Those there are go on."""
    with (
        serving(repository, "--max-connections", "20") as server,
        ExitStack() as opened,
        grpc.insecure_channel(server.address) as channel,
    ):
        stub = forecast_pb2_grpc.ForecastServiceStub(channel)
        forecast(stub, "first")
        closed = 0
        for other in [opened.enter_context(connected(server)) for _ in range(40)]:
            try:
                other.sendall(HELLO)
                closed += not other.recv(1)
            except OSError:
                closed += 1
        assert closed >= 20
        assert forecast(stub, "first") == 2


def test_a_large_handle_takes_no_more_than_a_small_one(server, stub):
    """One name once made the server hold three hundred megabytes."""
    forecast(stub, "before")
    before = memory(server)
    largest = (1 << 24) - 1
    for number in range(5):
        first = opening("gru", f"far {number}")
        first.sessions[0].handle = largest
        answers = list(stub.StreamForecasts(iter([first, frame([largest], [1.0]), frame([largest], [2.0])])))
        assert [len(answer.entry_errors) for answer in answers] == [0, 0]
    assert memory(server) - before < 32 * MB


def test_streams_name_so_many_sessions_and_no_more(repository):
    """Four times as many as may be open, all streams together; the end of one makes room."""
    with (
        serving(repository, "--max-sessions", "10") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        stub = forecast_pb2_grpc.ForecastServiceStub(channel)
        names = opening("gru", *(f"s{number}" for number in range(40)))
        for _ in range(2):
            (answer,) = stub.StreamForecasts(iter([names, names, frame([0], [1.0])]))
            assert not answer.entry_errors
        one_more = opening("gru", *(f"s{number}" for number in range(41)))
        with pytest.raises(grpc.RpcError, match="streams name 40 sessions already") as caught:
            list(stub.StreamForecasts(iter([one_more])))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        (answer,) = stub.StreamForecasts(iter([names, frame([0], [1.0])]))
        assert not answer.entry_errors
