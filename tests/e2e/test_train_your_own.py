"""docs/train-your-own.md from its first line to its last, on a small file."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer.main

from cli.main import app
from tests.server_process import clean_environment, serving

GUIDE = (Path(__file__).parents[2] / "docs" / "train-your-own.md").read_text()
# So that each training takes seconds.
SMALL = 'hidden_size = 4\nmax_epochs = 1\nseasons = [24]\nbaselines = "quick"\n'
SMALL_SPACE = "hidden_size = {choices = [2, 4]}\n"


def _blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


COMMANDS = [line for block in _blocks("sh") for line in block.splitlines()]
NEEDS_SERVER = ("statecast serve", "statecast stream")


def _mine():
    """Seventeen days of two series with a daily shape that holidays lower."""
    (header, *_), draw = _blocks("csv")[0].splitlines(), np.random.default_rng(0)
    lines, hours = [header], np.arange(24 * 17)
    times = np.datetime64("2024-03-04T00") + hours.astype("timedelta64[h]")
    holiday = (hours // 24 % 11 == 0).astype(int)
    for name, zone in (("a", "north"), ("b", "south")):
        warm = 10 + 8 * np.sin(2 * np.pi * (hours - 9) / 24) + draw.normal(size=len(hours)) * 0.1
        load = 100 + 30 * np.sin(2 * np.pi * hours / 24) - 25 * holiday + draw.normal(size=len(hours))
        for time, *numbers in zip(times, load, warm, holiday, strict=True):
            lines.append(",".join([name, f"{time}:00", *(f"{n:.4g}" for n in numbers), zone]))
    return "\n".join(lines) + "\n"


def _python(program, directory):
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, timeout=120, cwd=directory, env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """The reader's files."""
    path = tmp_path_factory.mktemp("mine")
    (path / "mine.csv").write_text(_mine())
    _python(_blocks("python")[0], path)
    (path / "train.toml").write_text(_blocks("toml")[0] + SMALL)
    (path / "space.toml").write_text(SMALL_SPACE)
    return path


def test_the_history_lacks_what_is_kept_back(directory):
    """The last week is in one file alone."""
    mine, history = ((directory / f"{name}.csv").read_text().splitlines() for name in ("mine", "history"))
    assert len(mine) - len(history) == 2 * (24 * 7 + 1)


@pytest.mark.parametrize("command", [each for each in COMMANDS if not each.startswith(NEEDS_SERVER)])
def test_each_command_runs(directory, monkeypatch, command):
    """In the guide's order, in this process; the search is of two trials."""
    monkeypatch.chdir(directory)
    arguments = [word.strip('"') for word in command.split()[1:]]
    if arguments[0] == "tune":
        arguments += ["--trials", "2", "--space", "space.toml"]
    typer.main.get_command(app).main(arguments, standalone_mode=False)


def test_each_training_published_a_version(directory):
    """As many as the commands that train; the last notes what it started from."""
    trainings = [command for command in COMMANDS if command.startswith("statecast train")]
    versions = sorted(path.name for path in (directory / "repository/load").iterdir())
    assert versions == [str(number + 1) for number in range(len(trainings))]


def test_the_model_is_served_and_streamed(directory, monkeypatch):
    """One forecast a series from the file; then the next hour by the program, which the server counts on."""
    serve, stream = (command for command in COMMANDS if command.startswith(NEEDS_SERVER))
    assert serve == "statecast serve --repository repository"
    with serving(directory / "repository") as server:
        monkeypatch.chdir(directory)
        command = [sys.executable, "-m", "cli", *stream.split()[1:], "--server", server.address]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, env=clean_environment(), check=True
        )
        last = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(line["session"], line["position"]) for line in last] == [("a", 408), ("b", 408)]
        assert None not in last[0]["quantiles"]["0.5"]
        printed = _python(_blocks("py")[0].replace("localhost:50051", server.address), directory)
    names, forecast = printed.splitlines()
    assert names == "['y', 'temperature', 'holiday', 'zone']"
    assert forecast.startswith("409 [")
