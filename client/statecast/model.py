"""What the server can forecast with."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from statecast.v1 import model_pb2

Role = Literal["past", "future", "static"]
_ROLES: dict[int, Role] = {model_pb2.ROLE_FUTURE: "future", model_pb2.ROLE_STATIC: "static"}


@dataclass(frozen=True)
class Feature:
    """One value of a row. Where `required`, a missing value (NaN) is refused.

    A value of a feature with `categories` is one of them, or its index; without, it is a number. Of one whose
    role is future, rows may also give the values at the steps to come; a static one is the same in every row.
    """

    name: str
    required: bool
    categories: tuple[str, ...] = ()
    role: Role = "past"

    @cached_property
    def index(self) -> dict[str, int]:
        """Of each category, what is sent for it."""
        return {category: index for index, category in enumerate(self.categories)}


@dataclass(frozen=True)
class Model:
    """A served model version."""

    name: str
    version: int
    digest: str
    cell: str
    # What each row holds, in order; the first is the target.
    features: tuple[Feature, ...]
    # The step between rows, as pandas writes it, such as h or 15min.
    frequency: str
    season_length: int
    # Steps of a whole forecast.
    horizon: int
    # Ascending, between 0 and 1: a forecast's columns. Empty where there are labels.
    quantile_levels: tuple[float, ...]
    manifest_json: str = field(repr=False)
    # regression, binary, classification or next-symbol.
    task: str = "regression"
    # A forecast's columns where they are probabilities; of a binary model's two the second is the event.
    labels: tuple[str, ...] = ()
    # Whether forecasts depend on the rows' times.
    reads_time: bool = False
    # Whether rows can be scored, see `Session.forecast`.
    scores_anomalies: bool = False
    # Whether each session's own errors move its quantile levels.
    calibrated: bool = False

    @property
    def num_features(self) -> int:
        """Values of a row, F."""
        return len(self.features)

    @cached_property
    def columns(self) -> tuple[Feature, ...]:
        """The feature of each value of a whole row: all of them, then each future one, `horizon` times."""
        return (*self.features, *(each for each in self.future for _ in range(self.horizon)))

    @cached_property
    def future(self) -> tuple[Feature, ...]:
        """Those that are known ahead."""
        return tuple(feature for feature in self.features if feature.role == "future")

    @property
    def num_values(self) -> int:
        """Values of a whole row: features, and what is known ahead."""
        return len(self.columns)

    @property
    def num_columns(self) -> int:
        """Numbers for each step of a forecast, Q: quantile levels or labels."""
        return len(self.quantile_levels) + len(self.labels)

    @property
    def manifest(self) -> dict[str, Any]:
        """The whole manifest: training data, backtest scores, states and more."""
        manifest: dict[str, Any] = json.loads(self.manifest_json)
        return manifest


def from_message(message: model_pb2.Model) -> Model:
    """The model that a reply describes."""
    return Model(
        name=message.name,
        version=message.version,
        digest=message.digest,
        cell=message.cell,
        features=tuple(
            Feature(
                feature.name, feature.required, tuple(feature.categories), _ROLES.get(feature.role, "past")
            )
            for feature in message.features
        ),
        frequency=message.frequency,
        season_length=message.season_length,
        horizon=message.horizon,
        quantile_levels=tuple(message.quantile_levels),
        manifest_json=message.manifest_json,
        task=message.task or "regression",
        labels=tuple(message.labels),
        reads_time=message.reads_time,
        scores_anomalies=message.scores_anomalies,
        calibrated=message.calibrated,
    )
