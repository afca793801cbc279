"""The commands of docs/tuning.md, run in their order on a small file."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import typer.main

from cli.main import app
from tests.server_process import clean_environment
from tests.unit.training.series_files import write_csv
from training.search_space import read_space

GUIDE = (Path(__file__).parents[2] / "docs" / "tuning.md").read_text()
COMMANDS = re.findall(r"^    (statecast .*)$", GUIDE, re.MULTILINE)
SAME = "--data load.csv --freq h --horizon 24 --output repository/load"
# So that each takes seconds.
SMALL = "--hidden-size 8 --max-epochs 1 --baselines quick"
SMALL_SPACE = "hidden_size = {choices = [4, 8]}\nlearning_rate = {low = 3e-4, high = 3e-2, log = true}\n"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("tuning")
    write_csv(path / "load.csv", num_rows=120, num_series=2)
    write_csv(path / "new-rows.csv", num_rows=110, num_series=2)
    (path / "rows").mkdir()
    frame = pd.read_csv(path / "load.csv", parse_dates=["ds"])
    for name, part in frame.groupby("unique_id"):
        part.to_parquet(path / "rows" / f"{name}.parquet")
    (path / "space.toml").write_text(SMALL_SPACE)
    return path


@pytest.fixture
def run(directory, monkeypatch):
    """Run the one command of the page that has such a word, and more options, in this process."""
    monkeypatch.chdir(directory)

    def _run(word, more):
        typer.main.get_command(app).main([*_arguments(word), *more.split()], standalone_mode=False)

    return _run


def _arguments(word):
    (command,) = (each for each in COMMANDS if word in each)
    whole = command.replace("...", SAME).replace("/scratch", "scratch")
    return whole.split()[1:]


def test_a_search_and_its_best_options(run, directory):
    """Two trials of a small space; what they found trains a model."""
    run("tune ", f"{SMALL} --space space.toml --trials 2")
    best = tomllib.loads((directory / "runs/load/best.toml").read_text())
    assert best["hidden_size"] in (4, 8)
    run("--config", "")
    assert (directory / "repository/load/1/model.onnx").is_file()


def test_the_space_of_the_page_can_be_read(tmp_path):
    """Names and ranges are those of options."""
    lines = re.findall(r"^      (\w+ = \{.*)$", GUIDE, re.MULTILINE)
    (tmp_path / "space.toml").write_text("\n".join(lines))
    assert len(read_space(tmp_path / "space.toml")) == len(lines) == 5


def test_versions_by_processes_in_pieces_and_from_another(run, directory):
    """Two processes make the second; pieces, bfloat16 and logs, in one run, the third; it is gone on from."""
    _process(f"{_join('--devices 2')} {SMALL}", directory)
    options = [_own(word) for word in ("bf16-mixed", "--logger")]
    run("--cache-dir", " ".join([SMALL, *options]))
    assert list((directory / "logs").rglob("events.out.tfevents.*"))
    assert list((directory / "logs").rglob("val_loss"))
    run("--from 3", SMALL)
    assert {path.name for path in (directory / "repository/load").iterdir()} == {"1", "2", "3", "4"}


def _own(word):
    """What a command adds to those options that all have."""
    return _join(word).removeprefix(f"train {SAME} ")


def _join(word):
    return " ".join(_arguments(word))


def _process(line, directory):
    command = [sys.executable, "-m", "cli", *line.split()]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=directory, env=clean_environment()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_command_is_run_here():
    """Those of the page, by the word that picks them."""
    words = ["tune ", "--config", "--devices 2", "--cache-dir", "bf16-mixed", "--from 3", "--logger"]
    assert [sum(word in command for command in COMMANDS) for word in words] == [1] * len(words)
    assert len(COMMANDS) == len(words)
