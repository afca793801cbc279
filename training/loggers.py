"""Losses and options of a run, epoch by epoch, for TensorBoard and MLflow."""

import importlib.util
import json
import os
from pathlib import Path

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger

from training.settings import SettingsError, TrainSettings

# In the extra `log`; MLflow's client alone writes runs.
_PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow"}
# As the process was started: MLflow puts there itself where its last run went.
_MLFLOW_URI = os.environ.get("MLFLOW_TRACKING_URI")


def loggers(settings: TrainSettings) -> list[Logger]:
    """One for each name in `settings.logger`, the run's options written to it.

    Raises:
        SettingsError: a logger whose package is not installed.
    """
    made = [_make(name, settings) for name in settings.logger]
    options = json.loads(settings.model_dump_json())
    for logger in made:
        logger.log_hyperparams(options)
    return made


def _make(name: str, settings: TrainSettings) -> Logger:
    if importlib.util.find_spec(_PACKAGES[name]) is None:
        raise SettingsError(
            f"logger: {_PACKAGES[name]} is not installed; {name} needs: pip install 'statecast-server[log]'"
        )
    directory = settings.log_dir or (settings.work_dir or Path.cwd()) / "logs"
    if name == "tensorboard":
        return TensorBoardLogger(directory, name=settings.name)
    uri = settings.tracking_uri or _MLFLOW_URI or (directory / "mlflow").resolve().as_uri()
    # MLflow 3 reports its use to its makers unless told not to before it is loaded.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    if uri.startswith("file:"):
        # MLflow 3.7 asks for a database unless told that files are meant.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    return MLFlowLogger(experiment_name=settings.name, tracking_uri=uri)
