"""The manifest: a model's contract, carried in the ONNX file's metadata. No torch here."""

import math
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.frequency import Frequency


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FeatureSpec(_Frozen):
    """One value of a row. Where `required`, a missing value (NaN) is refused."""

    name: str = Field(min_length=1)
    required: bool = False


class StateSpec(_Frozen):
    """One state tensor: input `name` and output `<name>_next`, each (B, *shape)."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    shape: tuple[Annotated[int, Field(ge=1)], ...]
    dtype: Literal["float32", "float64", "int64"]
    initial: float = 0.0

    @property
    def num_bytes(self) -> int:
        """Bytes for one session."""
        return math.prod(self.shape) * (4 if self.dtype == "float32" else 8)


class TrainingSummary(_Frozen):
    """What the model was fitted on."""

    num_series: int = Field(ge=1)
    num_rows: int = Field(ge=1)
    num_missing: int = Field(ge=0, description="target values missing, gaps in time included")
    first_time: datetime
    last_time: datetime


class Manifest(_Frozen):
    """Everything a server or a caller must know of a model besides its graph."""

    format_version: Literal[1] = 1
    name: str = Field(min_length=1)
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$", description="of the graph and its weights")
    cell: str
    features: tuple[FeatureSpec, ...] = Field(min_length=1, description="a row's values; the target first")
    frequency: str
    season_length: int = Field(ge=1)
    horizon: int = Field(ge=1)
    quantile_levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(min_length=1)
    upgrade: Literal["pin", "carry", "replay"] = Field(
        "pin", description="what live sessions of older versions do when this one is served"
    )
    states: tuple[StateSpec, ...] = Field(min_length=1)
    opset: int
    training: TrainingSummary
    backtest: dict[str, float] = Field(description="scores on the validation rows, by metric")
    parity_error: float = Field(ge=0, description="largest scaled difference between torch and ONNX Runtime")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if list(self.quantile_levels) != sorted(set(self.quantile_levels)):
            raise ValueError(f"quantile_levels must ascend, found {self.quantile_levels}")
        for field, names in (
            ("features", [feature.name for feature in self.features]),
            ("states", [state.name for state in self.states]),
        ):
            if len(names) != len(set(names)):
                raise ValueError(f"{field} must have distinct names, found {names}")
        Frequency.parse(self.frequency)
        return self

    @property
    def state_bytes(self) -> int:
        """Bytes of one session's state."""
        return sum(state.num_bytes for state in self.states)
