"""Two replicas behind a real proxy, with the configuration files that are shipped."""

import os
import shutil
import subprocess
import sys
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


def _in_memory(address):
    """Sessions that a replica holds itself."""
    with Client(address) as client:
        return {info.session_id for info in client.sessions("m").list() if info.place == "memory"}
