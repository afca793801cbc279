"""A real server, as a process on a free port."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_STOP_S = 30.0


def clean_environment(**variables: str) -> dict[str, str]:
    """This environment without STATECAST_ settings, and `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STATECAST_")}
    return {**kept, **variables}


class ServerProcess:
    """`statecast serve` with JSON logs; `address` is known once it serves."""

    def __init__(self, repository: Path, *flags: str, address: str = "127.0.0.1:0") -> None:
        self.log: list[dict[str, Any]] = []
        command = [sys.executable, "-m", "cli", "serve", "--repository", str(repository)]
        # Tests that say nothing of a store leave nothing behind.
        store = [] if {"--store", "--data-dir"} & set(flags) else ["--store", "memory:"]
        command += ["--address", address, "--log-format", "json", *store, *flags]
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=clean_environment(PYTHONUNBUFFERED="1")
        )
        self.address: str = self.wait_for("serving")["address"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.stop()

    def wait_for(self, event: str) -> dict[str, Any]:
        """Read the log until a line of that event."""
        assert self.process.stderr is not None
        rest = []
        for line in self.process.stderr:
            try:
                entry = json.loads(line)
            except ValueError:
                rest.append(line)
                continue
            self.log.append(entry)
            if entry.get("event") == event:
                return entry
        raise AssertionError(f"the server ended before {event!r}; it wrote: {''.join(rest)}{self.log}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop and return the exit status."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        """The exit status, once it ends."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("{"):
                self.log.append(json.loads(line))
        return self.process.wait(_STOP_S)


@contextmanager
def serving(repository: Path, *flags: str) -> Iterator[ServerProcess]:
    """A server for the time of a test."""
    with ServerProcess(repository, *flags) as server:
        yield server
