"""Two replicas behind a real proxy, with the configuration files that are shipped."""

import itertools
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from statecast import Client
from tests.chaos.fleet import fleet, free_port
from tests.missing import missing
from tests.model_files import write_model
from tests.valkey_server import valkey_server

_DEPLOY = Path(__file__).parents[2] / "deploy"
_READY_S = 20.0


def _program(name):
    found = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if found is None:
        missing(f"no {name} here")
    return found


@contextmanager
def _proxy(kind, folder, replicas):
    """The proxy with its shipped configuration, ports apart."""
    name = {"envoy": "envoy.yaml", "nginx": "nginx.conf"}[kind]
    port = free_port()
    text = (_DEPLOY / name).read_text("utf-8").replace("50050", str(port))
    for shipped, replica in zip(("50051", "50052"), replicas, strict=True):
        assert text.count(shipped) == 1
        text = text.replace(shipped, replica.address.rpartition(":")[2])
    (folder / name).write_text(text, "utf-8")
    command = _command(kind, folder, name)
    process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(_READY_S)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _command(kind, folder, name):
    if kind == "envoy":
        return [_program("envoy"), "-c", name, "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    return [_program("nginx"), "-p", str(folder), "-c", str(folder / name)]


@pytest.mark.parametrize("kind", ["envoy", "nginx"])
def test_a_sessions_rows_go_to_one_replica_and_on_at_the_other_when_it_dies(kind, tmp_path):
    """Each session is in the memory of one replica only; after a kill the other has them all."""
    _program(kind)
    write_model(tmp_path / "models", "m")
    ids = [f"meter {number} ü" for number in range(16)]
    with (
        valkey_server(tmp_path) as valkey,
        fleet(tmp_path / "models", 2, "--store", valkey.url) as replicas,
        _proxy(kind, tmp_path, replicas) as address,
        Client(address, retry_budget_s=60.0) as client,
    ):
        sessions = [client.session("m", name) for name in ids]
        for value in (1.0, 2.0, 3.0):
            for session in sessions:
                assert session.forecast([[value, 0.0]]).forecasts
        held = [_in_memory(replica.address) for replica in replicas]
        assert held[0] | held[1] == set(ids)
        assert not held[0] & held[1], "a session was in the memory of both: its rows went to either"
        assert all(held), f"one replica had none of {len(ids)} sessions"
        replicas[0].kill()
        for session in sessions:
            assert session.forecast([[4.0, 0.0]]).position == 4
        assert _in_memory(replicas[1].address) == set(ids)


class _Load:
    """A thread that sends rows of its sessions, each once, until it is stopped; a call that fails ends it.

    Attributes:
        num_rows: answered, of each of its sessions.
        error: what ended it.
    """

    def __init__(self, address, name, as_stream):
        self.num_rows, self.error = 0, None
        self.ids = [f"{name}-{number}" for number in range(4 if as_stream else 1)]
        self._stop, self._moved = threading.Event(), threading.Condition()
        self._thread = threading.Thread(target=self._run, args=(address, as_stream))
        self._thread.start()

    def _run(self, address, as_stream):
        try:
            with Client(address, retry_budget_s=60.0) as client:
                (self._streamed if as_stream else self._unary)(client)
        except Exception as error:
            self.error = error
        with self._moved:
            self._moved.notify_all()

    def _unary(self, client):
        session = client.session("m", self.ids[0])
        while not self._stop.is_set():
            self._answered(session.forecast([[1.0, 0.0]]).position)

    def _streamed(self, client):
        with client.stream("m") as stream:
            while not self._stop.is_set():
                results = stream.forecast({name: [[1.0, 0.0]] for name in self.ids})
                (position,) = {result.position for result in results.values()}
                self._answered(position)

    def _answered(self, position):
        with self._moved:
            self.num_rows += 1
            assert position == self.num_rows, "a row was lost or counted twice"
            self._moved.notify_all()

    def wait_for_more(self, num_rows):
        """Until so many more rows of each session are answered."""
        with self._moved:
            wanted = self.num_rows + num_rows
            assert self._moved.wait_for(lambda: self.error or self.num_rows >= wanted, 60)
        assert self.error is None, repr(self.error)

    def stop(self):
        """And wait for its end."""
        self._stop.set()
        self._thread.join()


def test_a_rolling_restart_under_load_fails_no_call(tmp_path):
    """Each replica drains, ends and comes back; clients resend by themselves, and every row counts once."""
    _program("envoy")
    write_model(tmp_path / "models", "m")
    with (
        valkey_server(tmp_path) as valkey,
        fleet(tmp_path / "models", 2, "--store", valkey.url) as replicas,
        _proxy("envoy", tmp_path, replicas) as address,
    ):
        loads = [_Load(address, f"load-{number}", as_stream=number % 2 == 1) for number in range(6)]
        try:
            for replica in replicas:
                for load in loads:
                    load.wait_for_more(5)
                assert replica.process.stop() == 0
                for load in loads:
                    load.wait_for_more(5)
                replica.start()
                _wait_for_rows(replica.address, address)
            for load in loads:
                load.wait_for_more(5)
        finally:
            for load in loads:
                load.stop()
        assert [load.error for load in loads] == [None] * len(loads)
        with Client(address) as client:
            for load in loads:
                for name in load.ids:
                    assert client.session("m", name).refresh() == load.num_rows


def _wait_for_rows(address, proxy):
    """Until rows reach a replica again; each new session has another place on the ring, which ports move."""
    with Client(proxy, retry_budget_s=60.0) as client:
        for number in itertools.count():
            name = f"for {address}, {number}"
            assert client.session("m", name).forecast([[1.0, 0.0]]).position == 1
            if name in _in_memory(address):
                return


def _in_memory(address):
    """Sessions that a replica holds itself."""
    with Client(address) as client:
        return {info.session_id for info in client.sessions("m").list() if info.place == "memory"}
