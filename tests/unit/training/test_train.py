"""From a file to a published model, and the commands around it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from models.artifact import unseal
from tests.unit.training.series_files import settings_for, write_csv
from training.parity import TOLERANCE
from training.train import train


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_train_publishes_a_file_that_tells_all(cell: str, tmp_path: Path) -> None:
    """The published file agrees with its manifest, and the manifest with the run."""
    data = write_csv(tmp_path / "data.csv", num_rows=120, num_series=2, covariate=True)
    published = train(
        settings_for(data, cell=cell, required=("load",), quantile_levels=(0.05, 0.5, 0.7, 0.95))
    )
    assert published.path == tmp_path / "repository/waves/1/model.onnx"
    _, manifest = unseal(published.path.read_bytes())
    assert manifest == published.manifest
    assert [(feature.name, feature.required) for feature in manifest.features] == [
        ("y", False),
        ("load", True),
    ]
    assert (manifest.name, manifest.cell, manifest.frequency) == ("waves", cell, "h")
    assert (manifest.horizon, manifest.season_length) == (3, 24)
    assert manifest.training.num_rows == 240
    assert 0 <= manifest.parity_error <= TOLERANCE
    assert {"mae", "mase", "seasonal_naive_mae", "weighted_quantile_loss", "coverage"} <= set(
        manifest.backtest
    )
    assert [sum(row) for row in manifest.transition_matrix] == pytest.approx([1.0] * 8, abs=1e-3)


def test_command_trains_from_a_file_of_options(tmp_path: Path) -> None:
    """`statecast train --config` with a flag on top prints where the model is, and `inspect` reads it."""
    data = write_csv(tmp_path / "data.csv", num_rows=120)
    config = tmp_path / "train.toml"
    config.write_text(
        f'data = "{data}"\noutput = "{tmp_path}/repository/waves"\nfreq = "h"\nhorizon = 3\n'
        "hidden_size = 4\nsegment_length = 16\nmax_epochs = 5\n"
    )
    result = CliRunner().invoke(app, ["train", "--config", str(config), "--max-epochs", "1", "--cell", "gru"])
    assert result.exit_code == 0, result.output
    parts = ("repository/waves/1/model.onnx", "seasonal naive", "Holt-Winters", "ARIMA", "transitions of the")
    for part in (*parts, "parity", "statecast serve --repository"):
        assert part in result.output
    shown = CliRunner().invoke(app, ["inspect", "--json", str(tmp_path / "repository/waves")])
    assert json.loads(shown.output)["cell"] == "gru"
    table = CliRunner().invoke(app, ["inspect", str(tmp_path / "repository/waves/1/model.onnx")])
    assert "scale_values" in table.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--data", "no.csv", "--output", "r/m", "--freq", "h", "--horizon", "3"],
            "no.csv: expected a file",
        ),
        (["train", "--data", "no.csv", "--output", "r/m", "--freq", "h", "--horizon", "x"], "horizon: "),
        (["train"], "missing"),
        (["inspect", "no.onnx"], "No such file"),
        (["inspect", __file__], "not an ONNX file"),
    ],
)
def test_error_is_one_line_and_exit_code_2(arguments: list[str], message: str) -> None:
    """A mistake is told in one line, without a traceback."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_demonstration_data_is_the_long_layout() -> None:
    """`statecast demo-data` prints a CSV that `statecast train` takes."""
    lines = CliRunner().invoke(app, ["demo-data"]).stdout.splitlines()
    assert lines[:2] == ["unique_id,ds,y", "mauna-loa-co2,1958-03-29,316.1"]
    assert len(lines) == 2285
