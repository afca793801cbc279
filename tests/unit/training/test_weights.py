"""Going on from the weights of a published version."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.artifact import unseal
from tests.unit.training.series_files import settings_for, write_csv
from training.dataset import read_dataset
from training.fit import build, fit
from training.publish import publish
from training.settings import SettingsError, TrainSettings
from training.train import train
from training.weights import WEIGHTS_FILE, packed, read_version, start_from


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data file, and version 1 of a model trained on it."""
    folder = tmp_path_factory.mktemp("published")
    train(settings_for(write_csv(folder / "data.csv", num_rows=120), cell="lstm"))
    return folder


def _settings(folder: Path, **options: Any) -> TrainSettings:
    return settings_for(folder / "data.csv", **options)


def test_a_version_goes_on_from_another_on_new_rows(folder: Path, tmp_path: Path) -> None:
    """New rows, one gentle epoch: the weights moved a little from version 1's, and the manifest says so."""
    first = folder / "repository/waves/1"
    shutil.copytree(folder / "repository", tmp_path / "repository")
    write_csv(tmp_path / "data.csv", num_rows=160)
    settings = _settings(tmp_path, from_version="1", max_epochs=1)
    published = train(settings)
    _, before = unseal((first / "model.onnx").read_bytes())
    started = published.manifest.started_from
    assert started is not None
    assert (published.version, started.version, started.digest) == (2, 1, before.digest)
    version = read_version(settings.model_copy(update={"from_version": "2"}))
    start = read_version(settings)
    assert version is not None
    assert start is not None
    assert version.started_from.digest == published.manifest.digest
    moved = max(float((version.weights[name] - value).abs().max()) for name, value in start.weights.items())
    assert 0 < moved < 0.1
    assert settings.learning_rate == 1e-3


def test_the_weights_are_all_that_a_forecaster_has(folder: Path) -> None:
    """A forecaster of fresh weights that starts from a version forecasts as that version's file does."""
    from training.parity import check_parity

    settings = _settings(folder, from_version=str(folder / "repository/waves/1/model.onnx"))
    version = read_version(settings)
    assert version is not None
    torch.manual_seed(5)
    forecaster = build(settings, 1)
    start_from(forecaster, version, read_dataset(settings))
    check_parity((folder / "repository/waves/1/model.onnx").read_bytes(), forecaster.eval(), 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 9}, "from: expected hidden_size 8, as that version has it, found 9"),
        ({"cell": "gru"}, "from: expected cell 'lstm'"),
        ({"horizon": 4}, "from: expected horizon 3"),
        ({"from_version": "7"}, "from: expected a version with model.onnx"),
        ({"from_version": "elsewhere/3"}, "from: expected a version with model.onnx"),
    ],
)
def test_another_architecture_or_no_version_is_refused(
    options: dict[str, Any], message: str, folder: Path
) -> None:
    """The option that differs is named, before training."""
    settings = _settings(folder, **{"from_version": "1", **options})
    with pytest.raises(SettingsError, match=message):
        fit(settings, read_dataset(settings))


def test_other_columns_are_refused(folder: Path, tmp_path: Path) -> None:
    """A covariate that the version never read does not fit it."""
    data = write_csv(tmp_path / "data.csv", num_rows=120, covariate=True)
    settings = settings_for(data, from_version=str(folder / "repository/waves/1"))
    with pytest.raises(SettingsError, match=r"from: expected (num_features|features)"):
        fit(settings, read_dataset(settings))


def test_weights_of_another_model_are_refused(folder: Path, tmp_path: Path) -> None:
    """Weights that are not those of the model beside them, and a damaged file, do not start a run."""
    settings = _settings(folder)
    content = (folder / "repository/waves/1/model.onnx").read_bytes()
    other = packed(build(settings, 1), "sha256:" + "0" * 64)
    for weights, message in ((other, "expected weights of sha256"), (other[:50], "expected a whole version")):
        _, path = publish(content, tmp_path, "waves", {WEIGHTS_FILE: weights})
        with pytest.raises(SettingsError, match=message):
            read_version(settings.model_copy(update={"from_version": str(path)}))


def test_the_weights_file_holds_no_code(folder: Path) -> None:
    """It is numbers and two texts: reading it runs nothing."""
    with np.load(folder / "repository/waves/1" / WEIGHTS_FILE, allow_pickle=False) as file:
        assert json.loads(str(file["//architecture"]))["cell"] == "lstm"
        assert all(file[name].dtype.kind in "fiU" for name in file.files)
