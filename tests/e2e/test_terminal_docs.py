"""The commands of docs/terminal.md, run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.http_port import address_of
from tests.server_process import clean_environment, serving
from tests.terminal import Terminal

GUIDE = (Path(__file__).parents[2] / "docs" / "terminal.md").read_text("utf-8")
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"^```sh\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    # What the others ask: a server of the tests runs in its place.
    if not line.startswith("statecast serve ")
]


@pytest.fixture(scope="module")
def server(repository):
    with serving(repository, "--http-address", "127.0.0.1:0") as running:
        yield running


@pytest.fixture
def shell(server, tmp_path):
    """A folder with `statecast` on the path and a file of rows, and what the guide calls the server."""
    program = tmp_path / "bin" / "statecast"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m cli "$@"\n')
    program.chmod(0o755)
    (tmp_path / "rows.csv").write_text("y\n" + "\n".join(map(str, range(20))) + "\n")
    here = {"localhost:8080": address_of(server), "localhost:50051": server.address}
    # `statecast` runs in this folder, and the packages are the checkout's.
    packages = os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")])
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return tmp_path, here, {"PATH": path, "PYTHONPATH": packages, "HOME": str(tmp_path)}


def _here(command, here):
    for theirs, ours in here.items():
        command = command.replace(theirs, ours)
    return command


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_guide(command, shell):
    """It ends well, or is there until it is interrupted; a picture and a table have something in them."""
    folder, here, variables = shell
    program = _here(command, here)
    if command.endswith("localhost:8080"):
        with Terminal(["bash", "-c", f"exec {program}"], cwd=folder, **variables) as terminal:
            terminal.expect("gru +1 ")
            terminal.interrupt()
            assert terminal.end() == 0
        return
    done = subprocess.run(
        ["bash", "-c", f"{program}; exit $?"],
        cwd=folder, env=clean_environment(**variables), capture_output=True, encoding="utf-8", timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = {"--plot": "┤", "--json": '"rows_per_s"', "--once": "gru", "--install": "completion installed"}
    assert next(word for option, word in words.items() if option in command) in done.stdout
