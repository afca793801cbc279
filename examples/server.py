"""A server for the time of an example."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import statecast


@contextmanager
def serving(repository: Path) -> Iterator[statecast.Client]:
    """`statecast serve` on a free port, its sessions in memory, and a client of it."""
    command = [sys.executable, "-m", "cli", "serve", "--repository", str(repository), "--store", "memory:"]
    command += ["--address", "127.0.0.1:0", "--log-format", "json"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        log = []
        for line in server.stderr:
            log.append(line)
            if line.startswith("{") and json.loads(line).get("event") == "serving":
                with statecast.Client(json.loads(line)["address"]) as client:
                    yield client
                return
        raise RuntimeError(f"the server ended: {''.join(log)}")
    finally:
        server.terminate()
        server.communicate()
