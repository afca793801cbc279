"""What a shell needs for a Tab: a `statecast` on its path, and a server with sessions to name."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import statecast as sdk
from tests.server_process import ServerProcess, serving


@contextmanager
def serving_sessions(repository: Path, session_ids: tuple[str, ...]) -> Iterator[ServerProcess]:
    """A server with sessions of the model `gru`."""
    with serving(repository) as running:
        with sdk.Client(running.address) as client:
            for session_id in session_ids:
                client.session("gru", session_id).observe(1.0)
        yield running


def write_statecast(home: Path) -> None:
    """A program `bin/statecast` in a home directory."""
    program = home / "bin" / "statecast"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m cli "$@"\n')
    program.chmod(0o755)


def path_of(home: Path) -> str:
    """A PATH that begins with the home directory's programs."""
    return f"{home / 'bin'}:{os.environ['PATH']}"
