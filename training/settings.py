"""What a training run can be told. Nothing heavy is imported: `statecast train --help` reads this."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models.frequency import LONGEST_WINDOW, Frequency
from models.manifest import Predicts, Task
from training.gates import Gate, needs_fitted_baselines
from training.score_names import INTERVAL_METRICS
from training.task_options import DECODERS, check_task, with_defaults

# A directory of the repository and a word in URLs and metrics.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Minutes that nobody asked for begin beyond.
_FEW_SERIES = 5
# Steps of all forecasts learned in a segment of a series: the next segment's rows say little more.
_TARGETS_A_SEGMENT = 1024


class SettingsError(ValueError):
    """An option that is unknown, missing or out of its range."""


class TrainSettings(BaseModel):
    """Every option of a training run; a field's description is its help text."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    data: Path = Field(description="CSV or Parquet file in the long layout: unique_id, ds, y, covariates")
    output: Path = Field(description="where to publish: REPOSITORY/NAME")
    freq: str = Field(description="step between rows, as pandas writes it: h, 15min, D, W-SAT, MS")
    horizon: int = Field(ge=1, le=10_000, description="steps ahead to forecast")

    id_column: str = Field("unique_id", description="column that names the series; a file may lack it")
    time_column: str = Field("ds", description="column of times")
    target: str = Field("y", description="column to forecast; further columns are covariates")
    required: tuple[str, ...] = Field((), description="features whose missing values are refused")
    future: tuple[str, ...] = Field((), description="covariates that are known for the steps to come")
    static: tuple[str, ...] = Field((), description="covariates that are the same in all rows of a series")
    calendar: bool = Field(True, description="whether the model reads the rows' times")
    seasons: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(
        None,
        description="seasons, in steps, that a forecast starts from; by default those of the frequency",
    )
    window: int | None = Field(
        None, ge=2, le=LONGEST_WINDOW, description="rows looked back on; by default two of the longest season"
    )
    maps_window: bool = Field(True, description="whether a learned map of the window adds to each step")
    members: int = Field(1, ge=1, le=16, description="forecasters trained apart whose forecasts are averaged")

    task: Task = Field("regression", description="what is forecast: a quantity, or which of several labels")
    predicts: Predicts = Field(
        "ahead", description="rows to come, the row at hand, or the series; of labels, by default the row"
    )
    head: str = Field(
        "quantile",
        description="of a regression: quantile, gaussian, student-t or negative-binomial (counts)",
        examples=["quantile", "gaussian", "student-t", "negative-binomial", "binary", "classes"],
    )
    decoder: str = Field(
        "direct",
        description="the horizon at once (direct), by a second recurrence, or by roll-out",
        examples=["direct", "recurrent", "roll-out"],
    )
    sample_paths: int = Field(
        64, ge=0, le=4096, description="paths of a roll-out; 0 rolls out the median alone"
    )
    loss_at: Literal["every-row", "end"] = Field(
        "every-row", description="where a series' label is learned: at each of its rows, or its last"
    )
    categorical: tuple[str, ...] = Field((), description="covariates that are words, not numbers")
    text_column: str | None = Field(None, description="column of texts, each a series with a label")

    cell: str = Field(
        "lstm",
        description="recurrent cell: lstm, gru, elman, elman-relu, jordan, lstm-reference, peephole, "
        "min-lstm, min-gru, slstm, bidirectional or bidirectional-gru",
        examples=[
            "lstm",
            "gru",
            "elman",
            "elman-relu",
            "jordan",
            "lstm-reference",
            "peephole",
            "min-lstm",
            "min-gru",
            "slstm",
            "bidirectional",
            "bidirectional-gru",
        ],
    )
    hidden_size: int = Field(64, ge=1, le=4096, description="units in each layer")
    num_layers: int = Field(1, ge=1, le=16, description="stacked recurrent layers")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout between layers and after the last")
    residual: bool = Field(False, description="layers above the first add their input to their output")
    memory_steps: int | None = Field(
        None, ge=3, description="rows that the gates start out keeping; without it, a few"
    )
    look_ahead: int = Field(0, ge=0, le=1000, description="rows that each bidirectional layer waits for")
    quantile_levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        (0.1, 0.5, 0.9), min_length=1, description="quantiles to forecast, ascending"
    )
    calibrate: bool = Field(
        False, description="let each session's own errors move its quantile levels while it streams"
    )
    anomaly: bool = Field(False, description="score each row by the forecast that was made before it")

    max_epochs: int = Field(100, ge=1, description="epochs at most; the step size falls to zero over them")
    patience: int = Field(15, ge=1, description="epochs without improvement before training stops")
    batch_size: int = Field(32, ge=1, description="series, or pieces of series, walked side by side")
    segment_length: int = Field(64, ge=2, description="rows between truncations of back-propagation")
    learning_rate: float = Field(3e-3, gt=0, description="Adam's step size; with --from a third of it")
    origins: int | None = Field(
        None,
        ge=1,
        description="rows of a segment whose forecasts are learned; by default fewer of long ones",
    )
    gradient_clip: float = Field(1.0, gt=0, description="largest norm of a gradient")
    gradient_clip_value: float | None = Field(
        None, gt=0, description="largest size of each number of a gradient; cut before its norm is"
    )
    teacher_forcing: float = Field(
        1.0, ge=0, le=1, description="share of a roll-out's training rows that are true, not its forecasts"
    )
    validation_fraction: float = Field(
        0.1, gt=0, le=0.5, description="share of each series' end kept for early stopping and the backtest"
    )
    refit: bool = Field(
        False,
        description="once its scores are taken, train again for as long with the validation parts too, and "
        "publish that",
    )
    baselines: Literal["auto", "quick", "all"] = Field(
        "auto",
        description="scored beside the model: quick ones, all (ARIMA and so on), by the number of series",
    )
    gate: tuple[str, ...] = Field(
        (),
        description="limits such as mase<1, coverage>0.75 or mase<seasonal_naive_mase (several times or "
        "with commas): a model that breaks one is not published",
    )
    missing_rate: float = Field(
        0.02, ge=0, lt=1, description="share of observations hidden in training, so that gaps are learned"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="the same seed gives the same model")
    threads: int = Field(1, ge=1, description="CPU threads; more pay only for hundreds of hidden units")
    devices: int = Field(1, ge=1, description="processes to train on, a GPU each where there are any")
    precision: Literal["32", "16-mixed", "bf16-mixed"] = Field(
        "32", description="of the network's numbers in training; the exported file's are float32"
    )
    logger: tuple[Literal["tensorboard", "mlflow"], ...] = Field((), description="where losses are logged")
    log_dir: Path | None = Field(
        None, description="directory of logs; by default `logs` in the work directory"
    )
    tracking_uri: str | None = Field(None, description="of MLflow; by default files in the log directory")
    work_dir: Path | None = Field(None, description="directory for checkpoints; without it none are kept")
    from_version: str | None = Field(
        None,
        alias="from",
        description="start with the weights of this version: its number, or a path to it",
    )
    cache_dir: Path | None = Field(
        None,
        description="read Parquet, a file or a directory of files, in pieces, and keep the series in a "
        "file here instead of in memory",
    )
    resume: bool = Field(False, description="go on from the last checkpoint in the work directory, if any")

    @property
    def lead(self) -> int:
        """Rows from the one that a forecast is made at to its first step, see `Manifest.lead`."""
        if self.predicts == "series":
            return 0
        return (1 if self.predicts == "ahead" else 0) - self.lag

    @property
    def lag(self) -> int:
        """Rows that all layers of a bidirectional cell wait for."""
        return self.num_layers * self.look_ahead

    @property
    def skips_by_season(self) -> bool:
        """Whether a forecast can start from seasonal ones: a quantity to come, in its own unit."""
        ahead = self.task == "regression" and self.predicts == "ahead" and not self.lag
        return ahead and self.head != "negative-binomial"

    @property
    def origins_a_segment(self) -> int:
        """Rows of each segment whose forecasts are learned."""
        return min(self.origins or max(_TARGETS_A_SEGMENT // self.horizon, 4), self.segment_length)

    @property
    def gates(self) -> tuple[Gate, ...]:
        return tuple(Gate.parse(text, labels=self.task != "regression") for text in self.gate)

    def fits_baselines(self, num_series: int) -> bool:
        """Whether baselines are scored that take seconds to fit for each series."""
        wanted = num_series <= _FEW_SERIES or needs_fitted_baselines(self.gates)
        return self.baselines == "all" or (self.baselines == "auto" and wanted)

    @property
    def repository(self) -> Path:
        return self.output.parent

    @property
    def name(self) -> str:
        """The model's name in the repository."""
        return self.output.name

    @classmethod
    def build(cls, given: Mapping[str, Any], config: Path | None = None) -> Self:
        """From a TOML file and the options given besides, which beat it. A file's data path is as written.

        Raises:
            SettingsError: names the option, what was found and what was expected.
        """
        written = {**(_read_toml(config) if config else {}), **given}
        names = {field.alias: name for name, field in cls.model_fields.items() if field.alias}
        values = {names.get(name, name): value for name, value in written.items()}
        for name in values:
            if name not in cls.model_fields:
                raise SettingsError(_unknown(name, cls.model_fields))
        try:
            return cls.model_validate(with_defaults(values))
        except ValidationError as error:
            raise SettingsError(_explain(error)) from error

    @field_validator("freq")
    @classmethod
    def _known_frequency(cls, freq: str) -> str:
        Frequency.parse(freq)
        return freq

    @field_validator("cell")
    @classmethod
    def _known_cell(cls, cell: str) -> str:
        from models.cells import CELLS  # brings torch

        if cell not in CELLS:
            raise ValueError(f"expected one of {', '.join(CELLS)}")
        return cell

    @field_validator("decoder")
    @classmethod
    def _known_decoder(cls, decoder: str) -> str:
        if decoder not in DECODERS:
            raise ValueError(f"expected one of {', '.join(DECODERS)}")
        return decoder

    @field_validator("output")
    @classmethod
    def _has_a_name(cls, output: Path) -> Path:
        if not _NAME.fullmatch(output.name):
            raise ValueError("expected REPOSITORY/NAME, the name in letters, digits, '.', '_' and '-'")
        return output

    @model_validator(mode="after")
    def _looks_ahead(self) -> Self:
        if {"cell", "look_ahead"} & self.model_fields_set:
            from models.cells import CELLS, check_look_ahead  # brings torch

            check_look_ahead(CELLS[self.cell].looks_ahead, self.look_ahead)
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if list(self.quantile_levels) != sorted(set(self.quantile_levels)):
            raise ValueError("quantile_levels: expected ascending, distinct levels")
        if len({self.id_column, self.time_column, self.target}) < 3:
            raise ValueError("id_column, time_column, target: expected three different columns")
        if self.seasons is not None and list(self.seasons) != sorted(set(self.seasons)):
            raise ValueError("seasons: expected ascending, distinct numbers of steps")
        if self.resume and self.work_dir is None:
            raise ValueError("resume: expected a work_dir that holds the checkpoint")
        check_task(self)
        self._check_gates()
        return self

    def _check_gates(self) -> None:
        try:
            gates = self.gates
        except ValueError as error:
            raise ValueError(f"gate: {error}") from error
        if self.baselines == "quick" and needs_fitted_baselines(gates):
            raise ValueError("gate: expected scores of quick baselines, as baselines is quick")
        if self.task == "regression" and len(self.quantile_levels) < 2:
            for gate in gates:
                if {gate.score, gate.other} & {*INTERVAL_METRICS}:
                    raise ValueError(f"gate: expected two quantile_levels or more for {gate.text}, found one")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error


def _unknown(name: str, known: Mapping[str, object]) -> str:
    nearest = difflib.get_close_matches(name.replace("-", "_"), known, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}?" if nearest else f"expected one of {', '.join(known)}"
    return f"unknown option {name!r}: {hint}"


def _explain(error: ValidationError) -> str:
    """The first fault: option, what was expected, what was found."""
    fault = error.errors()[0]
    name = ".".join(str(part) for part in fault["loc"])
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"{name}: missing; {TrainSettings.model_fields[name].description}"
    return f"{name}: {message}, found {fault['input']!r}" if name else message
