"""Fitting with Lightning."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from models.cells import CELLS
from models.forecaster import Forecaster
from models.state import initial_state
from tests import model_files
from tests.unit.training.series_files import settings_for, write_csv
from training.dataset import Dataset, read_dataset
from training.fit import build, fit
from training.module import ForecasterModule
from training.segments import ValidationSegments
from training.settings import SettingsError, TrainSettings


def _fit(data: Path, **options: Any) -> Forecaster:
    settings = settings_for(data, **options)
    return fit(settings, read_dataset(settings))


class _EndAfter(Callback):
    """Ends a run as somebody does who needs the machine."""

    def __init__(self, num_epochs: int) -> None:
        self.num_epochs = num_epochs

    def on_train_epoch_end(self, trainer: Trainer, _module: LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch + 1 >= self.num_epochs


def _validation_loss(forecaster: Forecaster, settings: TrainSettings, dataset: Dataset) -> float:
    module = ForecasterModule(forecaster, learning_rate=1.0, missing_rate=0.0, required=(), seed=0)
    with torch.no_grad():
        parts = [
            torch.stack(module._advance(segment))
            for segment in ValidationSegments(
                dataset.series, horizon=settings.horizon, batch_size=4, lead=settings.lead
            )
        ]
    loss, terms = torch.stack(parts).sum(dim=0)
    return float(loss / terms)


def _same_weights(first: Forecaster, second: Forecaster) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("cell", CELLS)
def test_training_lowers_the_loss(cell: str, tmp_path: Path) -> None:
    """A few epochs on a seasonal series leave a clearly lower validation loss than the start's."""
    settings = settings_for(
        write_csv(tmp_path / "data.csv"),
        cell=cell,
        look_ahead=model_files.look_ahead(cell),
        max_epochs=6,
        learning_rate=0.02,
    )
    dataset = read_dataset(settings)
    torch.manual_seed(settings.seed)
    before = _validation_loss(build(settings, 1), settings, dataset)
    after = _validation_loss(fit(settings, dataset), settings, dataset)
    assert after < 0.8 * before


def test_the_seed_fixes_the_weights(tmp_path: Path) -> None:
    """The same seed trains the same weights, dropping and dropout included; another seed others."""
    data = write_csv(tmp_path / "data.csv")
    options: dict[str, Any] = {"missing_rate": 0.1, "num_layers": 2, "dropout": 0.2}
    first, second, other = (_fit(data, seed=seed, **options) for seed in (3, 3, 4))
    assert _same_weights(first, second)
    assert not _same_weights(first, other)


def test_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    """A run that ends after two of four epochs, resumed, is the four epochs of one run."""
    data = write_csv(tmp_path / "data.csv")
    options: dict[str, Any] = {"missing_rate": 0.1, "num_layers": 2, "dropout": 0.2, "patience": 10}
    whole = _fit(data, max_epochs=4, **options)
    broken = settings_for(data, max_epochs=4, work_dir=tmp_path / "work", **options)
    half = fit(broken, read_dataset(broken), watchers=[_EndAfter(2)])
    resumed = _fit(data, max_epochs=4, work_dir=tmp_path / "work", resume=True, **options)
    assert _same_weights(whole, resumed)
    assert not _same_weights(half, resumed)


def test_resume_with_other_options_is_refused(tmp_path: Path) -> None:
    """A checkpoint of another model is not carried on; the option is named."""
    data = write_csv(tmp_path / "data.csv")
    _fit(data, max_epochs=1, work_dir=tmp_path / "work")
    with pytest.raises(SettingsError, match=r"hidden_size: expected 8, .* found 9"):
        _fit(data, max_epochs=2, work_dir=tmp_path / "work", resume=True, hidden_size=9)


def test_best_weights_come_back(tmp_path: Path) -> None:
    """When later epochs are worse, the weights of the best one are returned, and training stops early."""
    settings = settings_for(
        write_csv(tmp_path / "data.csv"),
        learning_rate=0.3,
        max_epochs=40,
        patience=2,
        work_dir=tmp_path / "work",
    )
    dataset = read_dataset(settings)
    best = fit(settings, dataset)
    last = torch.load(tmp_path / "work" / "last.ckpt", weights_only=True)
    assert last["epoch"] < 39
    after_last = build(settings, 1)
    after_last.load_state_dict(
        {key.removeprefix("forecaster."): value for key, value in last["state_dict"].items()}
    )
    assert _validation_loss(best, settings, dataset) < _validation_loss(after_last, settings, dataset)


def test_training_writes_nowhere_it_was_not_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """No logger's directories appear, and nothing is printed."""
    data = write_csv(tmp_path / "data.csv")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    _fit(data, max_epochs=1)
    assert list((tmp_path / "empty").iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_many_series_and_covariates_train_one_model(tmp_path: Path) -> None:
    """One global model is fitted on several series with a covariate and gaps."""
    data = write_csv(tmp_path / "data.csv", num_rows=60, num_series=6, covariate=True)
    lines = data.read_text().splitlines()
    data.write_text("\n".join(line for number, line in enumerate(lines) if number % 17 != 5))
    forecaster = _fit(data)
    x = torch.from_numpy(np.full((2, 5, 2), 7.0))
    forecast, _ = forecaster(x, initial_state(forecaster.state_init(), 2))
    assert forecast.isfinite().all()
