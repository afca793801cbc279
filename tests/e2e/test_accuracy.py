"""The accuracy benchmark as a command, on a stand-in for the data."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer

from benchmarks.accuracy.__main__ import main


def _write_m4(folder: Path) -> None:
    """Four series of a day's wave in the files' layout, of different lengths."""
    (folder / "m4").mkdir(parents=True)
    random = np.random.default_rng(0)
    past, to_come = {}, {}
    for at in range(4):
        length = 150 + 10 * at
        hours = np.arange(length + 48)
        values = 100 + 10 * np.sin(2 * np.pi * hours / 24) + random.normal(0, 1, len(hours))
        past[f"H{at + 1}"], to_come[f"H{at + 1}"] = values[:length], values[length:]
    for name, rows in (("train", past), ("test", to_come)):
        frame = pd.DataFrame({key: pd.Series(value) for key, value in rows.items()}).T
        frame.to_csv(folder / "m4" / f"Hourly-{name}.csv.gz")


def _run(folder: Path, output: Path, **given: object) -> None:
    options = {
        "runs": "m4",
        "quick": True,
        "methods": "ours",
        "budget_s": None,
        "ablations": False,
        "parts": "",
        "write_docs": False,
    }
    main(data=folder, output=output, docs=output, **{**options, **given})  # type: ignore[arg-type]


def test_one_command_trains_streams_scores_and_keeps(tmp_path: Path) -> None:
    """A quick run on a folder of the same layout writes its figures, and leaves those of other runs."""
    _write_m4(tmp_path / "data")
    (tmp_path / "accuracy-quick.json").write_text(json.dumps({"runs": {"other": 1}, "ablations": {}}))
    _run(tmp_path / "data", tmp_path)
    made = json.loads((tmp_path / "accuracy-quick.json").read_text())
    assert made["runs"]["other"] == 1
    run = made["runs"]["m4"]
    assert set(run["scores"]) == {"statecast", "seasonal naive", "naive"}
    assert all(found["mase"] > 0 and found["wql"] > 0 for found in run["scores"].values())
    assert run["scores"]["seasonal naive"]["mase"] == pytest.approx(1, abs=0.2)
    assert run["training"]["statecast"]["training_s"] > 0
    assert run["options"]["horizon"] == 48
    assert not (tmp_path / "accuracy.md").exists()


def test_without_the_data_it_says_which_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without the files ends the command with the path that was looked for."""
    with pytest.raises(typer.Exit):
        _run(tmp_path / "none", tmp_path)
    assert str(tmp_path / "none" / "m4" / "Hourly-train.csv.gz") in capsys.readouterr().out.replace("\n", "")


def test_an_ablation_replaces_its_own_figures_alone(tmp_path: Path) -> None:
    """Parts that are named are trained and scored without; others keep theirs, in the page's order."""
    _write_m4(tmp_path / "data")
    kept = {"part": "nothing", "without": {}, "name": "m4", "scores": {"mase": -1.0}, "training_s": 1.0}
    (tmp_path / "accuracy-quick.json").write_text(json.dumps({"runs": {}, "ablations": {"m4": [kept]}}))
    _run(tmp_path / "data", tmp_path, ablations=True, parts="log of,learned map", methods="")
    (whole, no_map, no_log) = json.loads((tmp_path / "accuracy-quick.json").read_text())["ablations"]["m4"]
    assert whole == kept
    assert no_map["part"] == "learned map of the window"
    assert no_log["part"] == "log of the scale"
    assert no_map["scores"]["mase"] > 0
    assert no_log["scores"]["mase"] > 0
    assert no_map["scores"] != no_log["scores"]
