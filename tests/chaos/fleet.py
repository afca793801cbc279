"""Servers that die and come back on the same address."""

import os
import signal
import socket
from contextlib import contextmanager

from tests.server_process import ServerProcess

# The long version asks for more rounds.
IS_LONG = bool(os.environ.get("CHAOS_LONG"))


def rounds(short, long):
    """How often, in `make test` and in `make chaos`."""
    return long if IS_LONG else short


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One replica: an address that outlives its processes."""

    def __init__(self, repository, *flags):
        self.address = f"127.0.0.1:{free_port()}"
        self._repository = repository
        self._flags = ("--drain-timeout-s", "5", *flags)
        self.process = None
        self.num_kills = 0

    def start(self):
        """Returns when it serves."""
        self.process = ServerProcess(self._repository, *self._flags, address=self.address)
        return self

    def kill(self):
        """As the kernel's out-of-memory killer does it."""
        self.process.send(signal.SIGKILL)
        self.process.process.wait()
        self.process.process.stderr.close()
        self.num_kills += 1

    def pause(self):
        """Stopped, but alive: what a long garbage collection or a migrated machine looks like."""
        self.process.send(signal.SIGSTOP)

    def go_on(self):
        """After `pause`."""
        self.process.send(signal.SIGCONT)


@contextmanager
def fleet(repository, num_servers, *flags):
    """Servers that run, and do not outlive the test."""
    servers = [Server(repository, *flags) for _ in range(num_servers)]
    try:
        yield [server.start() for server in servers]
    finally:
        for server in servers:
            if server.process is not None and server.process.process.poll() is None:
                server.kill()
