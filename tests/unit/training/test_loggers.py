"""What a run tells TensorBoard and MLflow."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.training.series_files import settings_for, write_csv
from training.dataset import read_dataset
from training.fit import fit
from training.settings import SettingsError


def _fit(folder: Path, **options: Any) -> None:
    settings = settings_for(write_csv(folder / "data.csv"), max_epochs=2, **options)
    fit(settings, read_dataset(settings))


def test_tensorboard_has_the_losses_of_each_epoch(tmp_path: Path) -> None:
    """The event file in the log directory holds a validation and a training loss for every epoch."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _fit(tmp_path, logger=("tensorboard",), log_dir=tmp_path / "logs")
    (events,) = (tmp_path / "logs").rglob("events.out.*")
    found = EventAccumulator(str(events.parent)).Reload()
    for name in ("val_loss", "train_loss"):
        assert len(found.Scalars(name)) == 2
        assert all(scalar.value > 0 for scalar in found.Scalars(name))


@pytest.mark.skipif("MLFLOW_TRACKING_URI" in os.environ, reason="MLFLOW_TRACKING_URI says where runs go")
def test_mlflow_has_the_options_and_the_losses(tmp_path: Path) -> None:
    """Files in the work directory hold a finished run: its options, and each epoch's losses."""
    from mlflow.tracking import MlflowClient

    # The second has a directory of its own, though MLflow remembers the first's.
    for name, hidden_size in (("first", 5), ("second", 6)):
        _fit(tmp_path, logger=("mlflow",), work_dir=tmp_path / name, hidden_size=hidden_size)
        client = MlflowClient((tmp_path / name / "logs/mlflow").as_uri())
        experiment = client.get_experiment_by_name("waves")
        assert experiment is not None
        (run,) = client.search_runs([experiment.experiment_id])
        assert (run.data.params["hidden_size"], run.info.status) == (str(hidden_size), "FINISHED")
        assert len(client.get_metric_history(run.info.run_id, "val_loss")) == 2


def test_a_logger_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the error says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"mlflow is not installed.*statecast-server\[log\]"):
        _fit(tmp_path, logger=("mlflow",))
