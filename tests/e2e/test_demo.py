"""`statecast demo` on somebody's own file."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd

from tests.server_process import clean_environment


def _demo(*flags):
    return subprocess.run(
        [sys.executable, "-m", "cli", "demo", *flags],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=170,
        check=False,
    )


def test_the_demo_takes_a_file_whose_columns_have_other_names(tmp_path):
    """Layout and frequency are guessed; all held-out rows are printed, a picture drawn, scores are JSON."""
    random = np.random.default_rng(0)
    steps = np.arange(300)
    data = tmp_path / "sensor.csv"
    frame = pd.DataFrame(
        {
            "timestamp": pd.date_range("2024-01-01", periods=300, freq="h"),
            "value": 10 + np.sin(2 * np.pi * steps / 24) + random.normal(0, 0.1, 300),
        }
    )
    frame.loc[290, "value"] = np.nan
    frame.to_csv(data, index=False)
    output = tmp_path / "out"
    ended = _demo("--data", str(data), "--max-epochs", "1", "--output", str(output), "--json")
    assert ended.returncode == 0, ended.stderr
    printed = [line for line in ended.stderr.splitlines() if "  forecast " in line]
    assert len(printed) == 60
    assert "missing" in printed[50]
    assert "seasonal naive" in ended.stderr
    found = json.loads(ended.stdout)
    assert found["mean_absolute_error"] > 0
    assert found["model"] == str(output / "repository" / "demo" / "1" / "model.onnx")
    assert (output / "forecast.png").read_bytes().startswith(b"\x89PNG")
    assert (output / "repository" / "demo" / "1" / "model.onnx").is_file()


def test_the_demo_says_what_is_wrong_with_a_file(tmp_path):
    """One line with the file, what was expected and what was found."""
    data = tmp_path / "words.csv"
    data.write_text("a,b\nx,y\n")
    ended = _demo("--data", str(data), "--output", str(tmp_path / "out"))
    assert ended.returncode == 2
    assert ended.stderr == f"statecast demo: {data}: expected a column of dates, found columns a, b\n"
