"""Small untrained models as sealed files, for tests that need a repository and no training."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import onnx
import torch

from models.artifact import seal
from models.cells import CELLS
from models.forecaster import Architecture, Forecaster
from models.manifest import FeatureSpec, Manifest, TrainingSummary
from training.describe import manifest_for
from training.export import to_onnx

LEVELS = (0.1, 0.5, 0.9)
FEATURES = ("y", "temperature")
HORIZON = 4
HIDDEN = 8


def look_ahead(cell: str) -> int:
    """Rows that a layer of the cell waits for in these tests: 2 where it must wait for some."""
    return 2 if CELLS[cell].looks_ahead else 0


@cache
def forecaster(cell: str, seed: int = 0, num_layers: int = 1, num_features: int = 2) -> Forecaster:
    """An untrained forecaster whose forecasts depend strongly on every state tensor."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        size = (num_features, HIDDEN, num_layers, 0.0, HORIZON, LEVELS)
        made = Forecaster(Architecture(cell, *size, look_ahead=look_ahead(cell))).eval()
    with torch.no_grad():
        # A fresh head starts near persistence, which would hide a state that went astray, and with
        # biases of zero, which the exporter drops.
        for parameter in made.head.parameters():
            parameter.mul_(20.0).add_(0.01)
    return made


@cache
def _exported(cell: str, seed: int, num_layers: int, num_features: int) -> bytes:
    return to_onnx(forecaster(cell, seed, num_layers, num_features)).SerializeToString()


def sealed(
    name: str,
    cell: str = "lstm",
    *,
    seed: int = 0,
    num_layers: int = 1,
    features: tuple[str, ...] = FEATURES,
    required: tuple[str, ...] = (),
    frequency: str = "h",
) -> tuple[bytes, Manifest]:
    """A whole model file and its manifest. Another seed gives other weights and another digest.

    The export takes seconds and is made once a process for each cell, seed and size.
    """
    model = onnx.load_model_from_string(_exported(cell, seed, num_layers, len(features)))
    manifest = manifest_for(
        model,
        forecaster(cell, seed, num_layers, len(features)),
        name=name,
        features=[FeatureSpec(name=feature, required=feature in required) for feature in features],
        frequency=frequency,
        training=TrainingSummary(
            num_series=1,
            num_rows=1,
            num_missing=0,
            first_time=datetime(2020, 1, 1, tzinfo=UTC),
            last_time=datetime(2020, 1, 2, tzinfo=UTC),
        ),
        backtest={},
        parity_error=0.0,
    )
    return seal(model, manifest), manifest


def write_model(
    repository: Path,
    name: str,
    cell: str = "lstm",
    version: int = 1,
    *,
    seed: int = 0,
    num_layers: int = 1,
    features: tuple[str, ...] = FEATURES,
    required: tuple[str, ...] = (),
    frequency: str = "h",
) -> Manifest:
    """Put such a file at REPOSITORY/NAME/VERSION/model.onnx and return its manifest."""
    content, manifest = sealed(
        name,
        cell,
        seed=seed,
        num_layers=num_layers,
        features=features,
        required=required,
        frequency=frequency,
    )
    path = repository / name / str(version) / "model.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return manifest
