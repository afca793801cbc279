"""`statecast diagnose` as its users call it."""

import json
from pathlib import Path

from typer.testing import CliRunner

from cli.main import app
from tests.unit.training.series_files import write_csv


def test_fresh_cells_are_drawn_and_noted(tmp_path: Path) -> None:
    """Two cells, a line each in the table; pictures and JSON in the folder; advice names an option."""
    data = write_csv(tmp_path / "data.csv", num_rows=400)
    output = tmp_path / "out"
    options = ["--cell", "elman, gru", "--data", str(data), "--output", str(output)]
    shown = CliRunner().invoke(app, ["diagnose", *options])
    assert shown.exit_code == 0, shown.output
    assert "vanishing" in shown.output
    assert "--memory-steps 100" in shown.output
    found = json.loads((output / "diagnosis.json").read_text())
    assert [one["name"] for one in found] == ["elman", "gru"]
    assert len(found[0]["gradient"]["norms"]) == 101
    for picture in ("gradient.png", "gates.png"):
        assert (output / picture).read_bytes().startswith(b"\x89PNG")


def test_what_was_found_as_json(tmp_path: Path) -> None:
    """--json prints what the file has, and nothing beside it."""
    data, output = write_csv(tmp_path / "data.csv", num_rows=400), tmp_path / "out"
    options = ["--cell", "elman", "--steps", "20", "--data", str(data), "--output", str(output), "--json"]
    shown = CliRunner().invoke(app, ["diagnose", *options])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout) == json.loads((output / "diagnosis.json").read_text())


def test_what_cannot_be_diagnosed_is_said(tmp_path: Path) -> None:
    """An unknown cell and a directory without a run end with exit code 2 and one line that names it."""
    data = str(write_csv(tmp_path / "data.csv"))
    for arguments, word in ((["--cell", "lstn", "--data", data], "'lstn'"), ([str(tmp_path)], "work-dir")):
        failed = CliRunner().invoke(app, ["diagnose", *arguments])
        assert failed.exit_code == 2
        assert word in failed.output
        assert len(failed.output.strip().splitlines()) == 1
