"""What the README shows, run as it stands."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.model_files import write_model
from tests.server_process import clean_environment, serving

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def _blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A server that has the README's model."""
    repository = tmp_path_factory.mktemp("repository")
    write_model(repository, "co2", features=("y",), frequency="W-SAT")
    with serving(repository) as server:
        yield server.address


def test_the_client_example_runs(address):
    """Some twenty lines, unchanged but for the address; a second run goes on where the first one was."""
    (example,) = _blocks("python")
    assert "localhost:50051" in example
    assert 15 <= len(example.splitlines()) <= 25
    program = example.replace("localhost:50051", address)
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env=clean_environment(),
            check=True,
            timeout=60,
        ).stdout
        for _ in range(2)
    ]
    positions = [re.findall(r"^(\d+) \[", output, re.MULTILINE) for output in outputs]
    assert positions == [["1", "2", "3", "4"], ["5", "6", "7", "8"]]
    assert "south-pole [" in outputs[0]


def test_the_shell_example_runs(address):
    """A generic gRPC client finds the API by reflection and gets a forecast."""
    command = next(block for block in _blocks("sh") if "buf curl" in block)
    buf = Path(sys.executable).parent / "buf"
    program = command.replace("localhost:50051", address).replace("buf curl", f"{buf} curl", 1)
    ended = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert '"position": "1"' in ended.stdout


def test_every_command_in_the_readme_exists():
    """Subcommands and flags of `statecast` are those of the program."""
    shown = [line for block in _blocks("sh") for line in block.splitlines() if "statecast " in line]
    calls = [re.search(r"statecast ([a-z-]+)(.*)", line) for line in shown if "docker" not in line]
    assert {call[1] for call in calls} >= {"train", "serve", "stream", "inspect"}
    for call in calls:
        help_text = subprocess.run(
            [sys.executable, "-m", "cli", call[1], "--help"],
            capture_output=True,
            text=True,
            env=clean_environment(COLUMNS="200", NO_COLOR="1"),
            check=True,
            timeout=60,
        ).stdout
        for flag in re.findall(r"--[a-z-]+", call[2]):
            assert flag in help_text, f"statecast {call[1]} has no {flag}"


def test_every_dependency_has_its_reason():
    """The table names each direct dependency, and nothing that is none."""
    names = set()
    for file in ("pyproject.toml", "client/pyproject.toml"):
        project = tomllib.loads((ROOT / file).read_text())["project"]
        extras = project.get("optional-dependencies", {})
        for requirement in [*project["dependencies"], *(item for extra in extras.values() for item in extra)]:
            names.add(re.match(r"[a-z0-9-]+", requirement)[0])
    names -= {"statecast", "statecast-server", "onnxruntime-gpu"}
    table = README.split("## What it depends on, and why")[1]
    listed = re.findall(r"^\| ([a-z0-9, -]+) \| .+ \| .+ \|$", table, re.MULTILINE)
    assert {name for row in listed for name in row.split(", ")} - {"package"} == names
