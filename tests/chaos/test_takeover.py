"""Replicas on one Valkey that die or stand still under load: their sessions go on at the other."""

import time

import grpc
import numpy as np

from statecast.v1 import forecast_pb2_grpc
from tests.chaos.figures import report
from tests.chaos.fleet import fleet, rounds
from tests.chaos.writers import Writer, either, loaded, num_rows
from tests.frames import OpenRequests, frame, opening
from tests.model_files import sealed, write_model
from tests.valkey_server import valkey_server

_NUM_STREAMS, _NUM_SESSIONS = 4, 12
# There is no lease to wait for; a system with one would take up to twice this.
_NOMINAL_LEASE_S = 1.0


async def test_a_killed_replicas_sessions_go_on_at_the_other(tmp_path, capsys):
    """Clients that know both addresses turn to the other; each of its sessions is answered there."""
    manifest = write_model(tmp_path / "models", "m")
    content, _ = sealed("m")
    with (
        valkey_server(tmp_path / "valkey") as valkey,
        fleet(tmp_path / "models", 2, "--store", valkey.url) as servers,
    ):
        addresses = [server.address for server in servers]
        writers = [
            Writer(either(addresses[number % 2], addresses[1 - number % 2]), "m", f"w{number}", _NUM_SESSIONS)
            for number in range(_NUM_STREAMS)
        ]
        took_s = []
        for turn in range(rounds(2, 8)):
            dying = turn % 2
            async with loaded(writers) as load:
                await load.answers(4 * _NUM_STREAMS)
                orphans = writers[dying::2]
                began_s = time.perf_counter()
                servers[dying].kill()
                for writer in orphans:
                    writer.mark()
                await load.all_back()
                took_s += [first_s - began_s for writer in orphans for first_s in writer.first_s]
                await load.answers(_NUM_STREAMS)
            for writer in writers:
                await writer.check(addresses[1 - dying], content, manifest)
            servers[dying].start()
    report(
        capsys,
        "takeover after a kill",
        sessions=len(took_s),
        rows=num_rows(writers),
        lost=0,
        doubled=0,
        median_s=round(float(np.median(took_s)), 3),
        longest_s=round(max(took_s), 3),
        limit_s=2 * _NOMINAL_LEASE_S,
    )


async def test_a_paused_replica_that_wakes_up_cannot_write(tmp_path, capsys):
    """Rows that it got before others went on are refused, each of them; nothing is doubled or lost."""
    manifest = write_model(tmp_path / "models", "m")
    content, _ = sealed("m")
    num_refused = 0
    with (
        valkey_server(tmp_path / "valkey") as valkey,
        fleet(tmp_path / "models", 2, "--store", valkey.url) as servers,
    ):
        writers = [Writer("", "m", f"w{number}", _NUM_SESSIONS) for number in range(_NUM_STREAMS)]
        for turn in range(rounds(2, 8)):
            paused, other = servers[turn % 2], servers[1 - turn % 2]
            await _write(writers, paused)
            with _LateClient(paused.address, writers) as late:
                paused.pause()
                late.send()
                await _write(writers, other)
                paused.go_on()
                num_refused += late.refused()
            # Both are there, and neither knows better than the other.
            await _write(writers, other)
            for address in (paused.address, other.address):
                for writer in writers:
                    await writer.check(address, content, manifest)
    report(
        capsys,
        "replica paused, then woken",
        late_rows_refused=num_refused,
        rows=num_rows(writers),
        lost=0,
        doubled=0,
    )


async def _write(writers, server):
    """Until every session has moved there."""
    for writer in writers:
        writer.address = server.address
        writer.mark()
    async with loaded(writers) as load:
        await load.all_back()
        await load.answers(len(writers))


class _LateClient:
    """Sends a row to each session, far from what the writers send, through a replica that is paused."""

    def __init__(self, address, writers):
        self._ids = [name for writer in writers for name in writer.ids]
        self._positions = np.concatenate([writer.acknowledged for writer in writers])
        self._channel = grpc.insecure_channel(address)
        self._requests = OpenRequests()

    def __enter__(self):
        stub = forecast_pb2_grpc.ForecastServiceStub(self._channel)
        self._responses = stub.StreamForecasts(iter(self._requests))
        self._requests.send(opening("m", *self._ids))
        # Rows that are there already: answered, and with it the connection stands.
        self._requests.send(self._frame(self._positions - 1))
        assert not next(self._responses).entry_errors
        return self

    def __exit__(self, *_):
        self._requests.close()
        self._channel.close()

    def send(self):
        """The rows; nobody reads them yet."""
        self._requests.send(self._frame(self._positions))

    def refused(self):
        """How many were refused because another replica has the session: all of them, or it is an error."""
        response = next(self._responses)
        codes = [error.code for error in response.entry_errors]
        assert codes == [grpc.StatusCode.ABORTED.value[0]] * len(self._ids), response
        assert not any(error.HasField("committed_position") for error in response.entry_errors)
        return len(codes)

    def _frame(self, positions):
        values = np.full((len(self._ids), 2), 1e4)
        return frame(range(len(self._ids)), values, positions=positions)
