"""What docs/covariates.md shows, run as it stands on a small file."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.server_process import clean_environment, serving

GUIDE = (Path(__file__).parents[2] / "docs" / "covariates.md").read_text()
# So that it takes seconds.
SMALL = "--hidden-size 8 --max-epochs 3 --baselines quick"


def _block(language):
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    return block


def _run(command, directory):
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=directory, env=clean_environment()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _statecast(line, directory):
    assert line.startswith("statecast ")
    return _run([sys.executable, "-m", "cli", *line.split()[1:]], directory)


def _history():
    """Two shops of which a promotion lifts sales."""
    lines = _block("csv").splitlines()[:1]
    draw = np.random.default_rng(0)
    for shop in ("Ulm", "Kiel"):
        promo = draw.integers(0, 2, 150)
        sales = 20 + 15 * promo + draw.normal(size=150)
        days = np.datetime64("2023-11-01") + np.arange(150)
        rows = zip(days, sales, promo, strict=True)
        lines += [f"{shop.lower()}-1,{day},{y:.2f},{on},{shop}" for day, y, on in rows]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A server that has the page's model, trained by the page's command."""
    directory = tmp_path_factory.mktemp("shops")
    (directory / "sales.csv").write_text(_history())
    train, serve, _ = _block("sh").splitlines()
    _statecast(f"{train} {SMALL}", directory)
    assert serve == "statecast serve --repository repository"
    with serving(directory / "repository") as server:
        yield server.address


def test_the_file_of_the_page_is_streamed(address, tmp_path):
    """Three observations, three forecasts: the two rows after them only say what is known ahead."""
    (tmp_path / "sales.csv").write_text(_block("csv"))
    line = _block("sh").splitlines()[-1]
    printed = _statecast(f"{line} --server {address}", tmp_path).splitlines()
    assert [json.loads(each)["position"] for each in printed] == [1, 2, 3]
    assert all(len(json.loads(each)["quantiles"]["0.5"]) == 3 for each in printed)


def test_the_python_part_runs(address, tmp_path):
    """Roles, a forecast with a plan, another without on a fork, and a row of which nothing is known ahead."""
    program = _block("python").replace("localhost:50051", address)
    # The file above went into the same session.
    program = program.replace("ulm-1", "ulm-2")
    roles, planned, other, position = _run([sys.executable, "-c", program], tmp_path).splitlines()
    assert roles == "[('y', 'past'), ('promo', 'future'), ('shop', 'static')]"
    assert planned.startswith("3 [")
    assert other.startswith("[")
    assert "nan" not in planned + other
    assert position == "4"
