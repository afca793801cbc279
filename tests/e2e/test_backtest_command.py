"""`statecast backtest` and `train --gate` as commands."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from typer.testing import CliRunner

from cli.main import app
from tests.model_files import write_model
from tests.server_process import clean_environment
from training.demonstration import co2_weekly

HORIZON = 4


def _statecast(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=170,
        check=False,
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained LSTM of one feature, weekly."""
    path = tmp_path_factory.mktemp("repository")
    write_model(path, "co2", features=("y",), frequency="W-SAT")
    return path / "co2" / "1" / "model.onnx"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The demonstration series, twice, the second noisier; and one too short to be judged."""
    path = tmp_path_factory.mktemp("data") / "co2.csv"
    one = co2_weekly().tail(400)
    noise = np.random.default_rng(0).normal(0, 2, len(one))
    other = one.assign(unique_id="<b>noisy & wide</b>", y=one["y"] + noise)
    pd.concat([one, other, one.head(3).assign(unique_id="short")]).to_csv(path, index=False)
    return path


class _Page(HTMLParser):
    """What a page refers to, and whether its elements nest."""

    VOID = frozenset({"meta", "path", "use", "br"})

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.references, self.tags = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href", "src", "srcset", "data", "action"):
                self.references.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_report_refers_to_nothing_outside_itself(model, data, tmp_path):
    """It nests as HTML, fetches nothing, shows names as text, and has fans of the best and of the worst."""
    report, picture = tmp_path / "new" / "report.html", tmp_path / "report.png"
    written = ("--report", report, "--picture", picture)
    ended = _statecast("backtest", model, "--data", data, "--start", "2000-01-01", "--stride", 2, *written)
    assert ended.returncode == 0, ended.stderr
    assert "seasonal naive" in ended.stdout
    assert "1 series are too short to be judged" in ended.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    text = report.read_text()
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert page.tags.count("svg") >= 2 * 3 + 3
    assert not {"script", "link", "img", "iframe", "object", "base"} & {*page.tags}
    assert len(page.ids) == len({*page.ids})
    assert {reference.removeprefix("#") for reference in page.references} <= {*page.ids}
    assert {*re.findall(r"url\(([^)]*)\)", text)} <= {f"#{one}" for one in page.ids}
    assert "//" not in text
    assert "default-src 'none'" in text
    assert "&lt;b&gt;noisy &amp; wide&lt;/b&gt;" in text
    assert "<b>" not in text
    assert "Best series" in text
    assert "Worst series" in text
    assert len(text) < 1_000_000


def test_json_has_the_scores_by_a_plain_loop(model, data):
    """Stride, start, horizon, season and interval are those asked for; MAE of each step by hand."""
    flags = ("--start", 0.9, "--stride", 3, "--horizon", 2, "--season-length", 13, "--levels", "0.1,0.9")
    ended = _statecast("backtest", model, "--data", data, *flags, "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    table = pd.read_csv(data)
    target = table[table.unique_id == "mauna-loa-co2"].y.to_numpy()
    session = onnxruntime.InferenceSession(model.read_bytes())
    dtypes = {"tensor(float)": "f4", "tensor(double)": "f8", "tensor(int64)": "i8"}
    states = {
        value.name: np.zeros([1, *value.shape[1:]], dtypes[value.type])
        for value in session.get_inputs()
        if value.name != "x"
    }
    (forecast,) = session.run(["forecast"], {"x": target[None, :, None], **states})
    origins = range(360 - 1, 400 - 2, 3)
    errors = np.array(
        [[abs(target[at + 1 + step] - forecast[0, at, step, 1]) for step in range(2)] for at in origins]
    )
    one = next(one for one in found["by_series"] if one["id"] == "mauna-loa-co2")
    assert one["num_forecasts"] == len(errors)
    assert one["mae"] == pytest.approx(np.nanmean(errors), rel=1e-4)
    assert one["rmse"] == pytest.approx(np.sqrt(np.nanmean(errors**2)), rel=1e-4)
    changes = np.abs(target[13:360] - target[: 360 - 13])
    assert one["mase"] == pytest.approx(np.nanmean(errors) / np.nanmean(changes), rel=1e-4)
    assert [step["step"] for step in found["by_step"]] == [1, 2]
    assert found["unjudged"] == ["short"]
    assert found["interval"] == [0.1, 0.9]
    assert found["scores"]["mae"] == pytest.approx(np.mean([step["mae"] for step in found["by_step"]]))
    assert sum(month["num_values"] for month in found["by_month"]) == 2 * errors.size


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--start", "1.5"), "start: expected a share between 0 and 1, or a time, found '1.5'"),
        (("--start", "soon"), "start: expected a time such as 2024-01-31"),
        (("--start", "2030-01-01"), "expected a series with 4 rows or more from the start of the judged"),
        (("--horizon", "9"), "horizon: expected 1 to 4, which the model forecasts, found 9"),
        (("--levels", "0.2,0.8"), "levels: expected 0.1,0.9, the model's own, found 0.2,0.8"),
        (("--levels", "0.8"), "levels: expected two such as 0.1,0.9, found '0.8'"),
        (("--baselines", "some"), "baselines: expected quick or all, found 'some'"),
        (("--target", "load"), "expected a column 'load', found columns unique_id, ds, y"),
    ],
)
def test_wrong_options_are_named(model, data, flags, why):
    """One line with the option, what was expected and what was found."""
    ended = CliRunner().invoke(app, ["backtest", str(model), "--data", str(data), *flags])
    assert ended.exit_code == 2
    assert why in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_what_is_no_model_is_said(data, tmp_path):
    """A file that is missing, and one that is something else."""
    missing = CliRunner().invoke(app, ["backtest", str(tmp_path / "none.onnx"), "--data", str(data)])
    assert (missing.exit_code, "No such file" in missing.stderr) == (2, True)
    other = CliRunner().invoke(app, ["backtest", str(data), "--data", str(data)])
    assert (other.exit_code, "not an ONNX file" in other.stderr) == (2, True)


def test_a_gate_keeps_a_model_from_the_repository(tmp_path):
    """Broken: status 3, the score and the limit, nothing published, the checkpoint kept. Kept: published."""
    data = tmp_path / "co2.csv"
    co2_weekly().tail(300).to_csv(data, index=False)
    flags = ("--data", data, "--freq", "W-SAT", "--horizon", HORIZON, "--hidden-size", 4, "--max-epochs", 1)
    flags += (
        "--baselines",
        "quick",
        "--work-dir",
        tmp_path / "run",
        "--output",
        tmp_path / "repository" / "co2",
    )
    broken = _statecast("train", *flags, "--gate", "mase<100", "--gate", "mase < 0.001")
    assert broken.returncode == 3, broken.stderr
    assert "not published, as the model fails mase < 0.001: mase is " in broken.stderr
    assert "the limit 0.001" in broken.stderr
    assert not list(tmp_path.glob("repository/co2/*"))
    assert [*(tmp_path / "run").iterdir()]
    limits = "--gate", "mase<1000,mae<1e6", "--gate", "coverage>=0"
    kept = _statecast("train", *flags, "--resume", *limits, "--json")
    assert kept.returncode == 0, kept.stderr
    made = tmp_path / "repository" / "co2" / "1" / "model.onnx"
    again = _statecast("backtest", made, "--data", data, "--json")
    inspected = json.loads(_statecast("inspect", made, "--json").stdout)
    assert json.loads(again.stdout)["scores"] == pytest.approx(inspected["backtest"])
    assert json.loads(kept.stdout) == {"path": str(made), "version": 1, "manifest": inspected}
