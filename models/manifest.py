"""The manifest: a model's contract, carried in the ONNX file's metadata. No torch here."""

import math
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.frequency import Frequency
from models.rows import RowLayout

Task = Literal["regression", "binary", "classification", "next-symbol"]
# Observed with each row; known ahead of time as well; the same for every row of a series.
Role = Literal["past", "future", "static"]
# The rows to come, the row that was just seen, or the series as a whole.
Predicts = Literal["ahead", "row", "series"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FeatureSpec(_Frozen):
    """One value of a row. Where `required`, a missing value (NaN) is refused.

    A feature with `categories` holds the index of one of them; without, it holds a number. Of a `future`
    one, a row also gives the values at the steps to come; a `static` one is remembered once it was sent.
    """

    name: str = Field(min_length=1)
    role: Role = "past"
    required: bool = False
    categories: tuple[str, ...] = ()


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
    refit: bool = Field(
        False,
        description="fitted again with the validation parts, after the scores of `Manifest.backtest`, which "
        "are those of the fit without them",
    )


class StartedFrom(_Frozen):
    """The published version whose weights were the start; without a number where a path named it."""

    version: int | None
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class Manifest(_Frozen):
    """Everything a server or a caller must know of a model besides its graph.

    A forecast has `horizon` rows, the steps, and `num_columns` columns: for regression a quantile at each
    of `quantile_levels`, for every other task the probability of each of `labels`.
    """

    format_version: Literal[1] = 1
    name: str = Field(min_length=1)
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$", description="of the graph and its weights")
    cell: str
    members: int = Field(1, ge=1, description="forecasters in the graph whose forecasts are averaged")
    head: str = "quantile"
    decoder: str = "direct"
    features: tuple[FeatureSpec, ...] = Field(min_length=1, description="a row's values; the target first")
    reads_time: bool = Field(False, description="whether rows bring their time into the graph")
    frequency: str
    season_length: int = Field(ge=1)
    task: Task = "regression"
    predicts: Predicts = Field("ahead", description="what the first step of a forecast is about")
    labels: tuple[str, ...] = Field(
        (), description="a classifier's columns; a binary one's second is the event"
    )
    look_ahead: int = Field(0, ge=0, description="rows by which the first step of a forecast lags")
    horizon: int = Field(ge=1)
    quantile_levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()
    calibrated: bool = Field(False, description="whether a session's own errors move the quantile levels")
    scores_anomalies: bool = Field(False, description="whether rows can be scored by the forecast before")
    upgrade: Literal["pin", "carry", "replay"] = Field(
        "pin", description="what live sessions of older versions do when this one is served"
    )
    states: tuple[StateSpec, ...] = Field(min_length=1)
    opset: int
    training: TrainingSummary
    started_from: StartedFrom | None = Field(None, description="what training went on from, if anything")
    backtest: dict[str, float] = Field(description="scores on the validation rows, by metric")
    transition_matrix: tuple[tuple[float, ...], ...] = Field(
        (),
        description="a baseline's: the probability of each bin (column) after each (row), of equally filled "
        "bins of the training values from the lowest to the highest, or of the labels in their order",
    )
    max_stream: int | None = Field(
        None,
        ge=1,
        description="rows of one stream after which its state is to be made anew from its recent rows; none "
        "where a state was measured to be good for ever",
    )
    parity_error: float = Field(ge=0, description="largest scaled difference between torch and ONNX Runtime")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if list(self.quantile_levels) != sorted(set(self.quantile_levels)):
            raise ValueError(f"quantile_levels must ascend, found {self.quantile_levels}")
        for field, names in (
            ("features", [feature.name for feature in self.features]),
            ("states", [state.name for state in self.states]),
            ("labels", list(self.labels)),
            *((f"categories of {feature.name}", list(feature.categories)) for feature in self.features),
        ):
            if len(names) != len(set(names)):
                raise ValueError(f"{field} must have distinct names, found {names}")
        Frequency.parse(self.frequency)
        self._check_columns()
        return self

    def _check_columns(self) -> None:
        if self.task == "regression":
            wrong = not self.quantile_levels or bool(self.labels)
            expected = "quantile_levels and no labels"
        else:
            wrong = bool(self.quantile_levels) or len(self.labels) < 2
            expected = "two labels or more and no quantile_levels"
            if self.task == "binary":
                wrong, expected = wrong or len(self.labels) != 2, "two labels and no quantile_levels"
        if wrong:
            raise ValueError(
                f"task {self.task}: expected {expected}, "
                f"found {len(self.labels)} labels and {len(self.quantile_levels)} quantile_levels"
            )
        if self.predicts != "ahead" and self.horizon != 1:
            raise ValueError(f"predicts {self.predicts}: expected a horizon of 1, found {self.horizon}")

    @property
    def row_layout(self) -> RowLayout:
        """The columns of the graph's rows."""
        future = tuple(at for at, feature in enumerate(self.features) if feature.role == "future")
        return RowLayout(len(self.features), future, self.horizon, self.reads_time)

    @property
    def lead(self) -> int:
        """Rows from the newest to the first step of a forecast; a label of the whole series does not lag."""
        if self.predicts == "series":
            return 0
        return (1 if self.predicts == "ahead" else 0) - self.look_ahead

    @property
    def num_columns(self) -> int:
        """Numbers for each step of a forecast: quantile levels or labels."""
        return len(self.quantile_levels) + len(self.labels)

    @property
    def state_bytes(self) -> int:
        """Bytes of one session's state."""
        return sum(state.num_bytes for state in self.states)
