"""What a search for options can be told. Nothing heavy is imported: `statecast tune --help` reads this."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from training.settings import TrainSettings

# Seconds between two signs of life of a worker; after twice that without one its trial is tried again.
HEARTBEAT_S = 30


class TuneSettings(TrainSettings):
    """Every option of a search: those of training, which hold in each trial unless the space names them."""

    trials: int = Field(50, ge=1, description="finished trials that the study is to have, of all its workers")
    timeout_s: float | None = Field(None, gt=0, description="seconds after which no further trial begins")
    storage: str | None = Field(
        None,
        description="where trials are kept: sqlite:///FILE or another database, or a file for a journal; "
        "by default tune.db in the work directory, and in memory without one",
    )
    study_name: str | None = Field(
        None, description="of the study to begin or go on with; by default the model's"
    )
    space: Path | None = Field(None, description="TOML file: option = {low, high, log} or {choices}")
    objective: Literal[
        "val_loss",
        "mae",
        "mse",
        "rmse",
        "mase",
        "smape",
        "weighted_quantile_loss",
        "crps",
        "msis",
        "log_loss",
    ] = Field(
        "val_loss", description="what is to be small: the loss on validation rows, or a backtest's score"
    )
    prune: bool = Field(True, description="end trials early that do worse than half of the others did")
    publish: bool = Field(False, description="train with the best options and publish the model")

    @model_validator(mode="after")
    def _searchable(self) -> Self:
        if self.devices > 1:
            raise ValueError(f"devices: expected 1, as each worker trains alone, found {self.devices}")
        if self.resume:
            raise ValueError("resume: expected without it; a study with the same storage and name goes on")
        return self

    @property
    def study(self) -> str:
        return self.study_name or self.name

    def train_settings(self, chosen: dict[str, Any], **besides: Any) -> TrainSettings:
        """The run with these options; all others as given, or as follows from what was given.

        Raises:
            SettingsError: options that do not go together.
        """
        given = {
            name: getattr(self, name) for name in self.model_fields_set if name in TrainSettings.model_fields
        }
        return TrainSettings.build({**given, **chosen, **besides})
