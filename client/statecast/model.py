"""What the server can forecast with."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from statecast.v1 import model_pb2


@dataclass(frozen=True)
class Feature:
    """One value of a row. Where `required`, a missing value (NaN) is refused.

    A value of a feature with `categories` is one of them, or its index; without, it is a number.
    """

    name: str
    required: bool
    categories: tuple[str, ...] = ()

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

    @property
    def num_features(self) -> int:
        """Values of a row, F."""
        return len(self.features)

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
            Feature(feature.name, feature.required, tuple(feature.categories)) for feature in message.features
        ),
        frequency=message.frequency,
        season_length=message.season_length,
        horizon=message.horizon,
        quantile_levels=tuple(message.quantile_levels),
        manifest_json=message.manifest_json,
        task=message.task or "regression",
        labels=tuple(message.labels),
    )
