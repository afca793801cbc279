"""Which options a search tries, over which ranges."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.settings import SettingsError, TrainSettings

# What a search may vary: the network and how it is fitted. The data and what is forecast are the question.
TUNABLE = (
    "cell",
    "hidden_size",
    "num_layers",
    "dropout",
    "residual",
    "memory_steps",
    "head",
    "decoder",
    "batch_size",
    "segment_length",
    "learning_rate",
    "gradient_clip",
    "gradient_clip_value",
    "missing_rate",
)


class Range(BaseModel):
    """Numbers from `low` to `high`, both included; of a `log` range each decade is as likely."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    step: float | None = Field(None, gt=0)
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"expected low up to high, found {self.low} and {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("expected of a log range a positive low and no step")
        return self


class Choices(BaseModel):
    """One of several values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    choices: tuple[str | int | float | bool, ...] = Field(min_length=1)


SearchSpace = Mapping[str, Range | Choices]

DEFAULT: SearchSpace = {
    "cell": Choices(choices=("lstm", "gru")),
    "hidden_size": Range(low=16, high=256, log=True),
    "num_layers": Range(low=1, high=3),
    "dropout": Range(low=0.0, high=0.4, step=0.1),
    "batch_size": Range(low=16, high=128, log=True),
    "segment_length": Range(low=32, high=256, log=True),
    "learning_rate": Range(low=3e-4, high=3e-2, log=True),
}


def read_space(path: Path | None) -> SearchSpace:
    """A TOML file of `option = {low = 1, high = 8}` or `option = {choices = [...]}`; the default without one.

    Raises:
        SettingsError: names the option, what was found and what was expected.
    """
    if path is None:
        return DEFAULT
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error
    if not written:
        raise SettingsError(f"{path}: expected at least one option, found none")
    for name in written:
        if name not in TUNABLE:
            raise SettingsError(f"{path}: {name}: expected one of {', '.join(TUNABLE)}")
    return {name: _dimension(path, name, value) for name, value in written.items()}


def is_whole(name: str) -> bool:
    """Whether an option holds whole numbers."""
    return TrainSettings.model_fields[name].annotation in (int, int | None)


def _dimension(path: Path, name: str, value: Any) -> Range | Choices:
    kind = Choices if isinstance(value, dict) and "choices" in value else Range
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join([name, *map(str, fault["loc"])])
        message = fault["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{path}: {place}: {message}, found {value!r}") from error
