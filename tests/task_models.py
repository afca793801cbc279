"""Small untrained forecasters of every kind of head, task and decoder, and their exported graphs."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import torch

from models.artifact import seal
from models.forecaster import Architecture, Forecaster
from models.manifest import FeatureSpec, TrainingSummary
from tests.model_files import look_ahead
from training.describe import manifest_for
from training.export import to_onnx

LABELS = ("a", "b", "c")
LEVELS = (0.1, 0.5, 0.9)
CASES: dict[str, dict[str, Any]] = {
    "negative-binomial": {"head": "negative-binomial", "num_features": 1},
    "next-symbol": {
        "task": "next-symbol", "head": "classes", "labels": LABELS, "quantile_levels": (),
        "num_features": 1, "categories": (3,), "horizon": 1, "cell": "gru",
    },
    "binary-decoded": {
        "task": "binary", "head": "binary", "labels": ("no", "yes"), "quantile_levels": (),
        "decoder": "recurrent",
    },
    "gaussian-paths": {
        "head": "gaussian", "decoder": "roll-out", "num_paths": 8, "horizon": 4, "categories": (0, 3),
    },
    "watched": {"calibrate": True, "anomaly": True, "horizon": 40},
    "quantile-median": {"decoder": "roll-out", "num_features": 1, "cell": "gru"},
}  # fmt: skip

# Each task there is, with any cell: see `of_cell`. Those that are cases above share their exports.
TASKS: dict[str, dict[str, Any]] = {
    "quantile": {},
    "negative-binomial": CASES["negative-binomial"],
    "binary": {"task": "binary", "head": "binary", "labels": ("no", "yes"), "quantile_levels": ()},
    "classification": {
        "task": "classification", "head": "classes", "labels": LABELS, "quantile_levels": (), "horizon": 1,
        "predicts": "row", "categories": (0, 3),
    },
    "next-symbol": CASES["next-symbol"],
    "watched": {"calibrate": True, "anomaly": True},
    # Everything that a regression can have: 2 and 3 are static, 1 is known ahead.
    "whole": {
        "num_features": 4, "categories": (0, 0, 0, 3), "future": (1,), "static": (2, 3), "reads_time": True,
        "frequency": "h", "seasons": (2, 4), "window": 8, "maps_window": True, "calibrate": True,
        "anomaly": True,
    },
}  # fmt: skip


def forecaster_of(**options: Any) -> Forecaster:
    """Its head far enough from zero to tell wrong graphs from right ones."""
    small = {
        "cell": "lstm", "num_features": 2, "hidden_size": 8, "num_layers": 1, "dropout": 0.0, "horizon": 3,
        "quantile_levels": LEVELS,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Forecaster(Architecture(**small | options)).eval()
    with torch.no_grad():
        for name, parameter in made.head.named_parameters():
            if name != "freedom":
                parameter.mul_(10.0).add_(0.01)
        # What starts at zero would hide what it is multiplied with.
        for part in (made.skip, made.future):
            for parameter in part.parameters() if part is not None else ():
                parameter.add_(torch.linspace(-0.1, 0.1, parameter.numel()).reshape(parameter.shape))
    return made


def of_cell(cell: str, task: str) -> Forecaster:
    """One of `TASKS` with a cell; one that waits for rows does so for two."""
    return forecaster_of(**TASKS[task] | {"cell": cell, "look_ahead": look_ahead(cell)})


def exported(case: str) -> tuple[Forecaster, onnx.ModelProto]:
    """Of one of `CASES`."""
    return graph_of(forecaster_of(**CASES[case]).architecture)


@cache
def graph_of(architecture: Architecture) -> tuple[Forecaster, onnx.ModelProto]:
    """`forecaster_of` these options, and its export: it takes seconds, and is made once a process."""
    forecaster = forecaster_of(**vars(architecture))
    return forecaster, to_onnx(forecaster)


def write_task_model(repository: Path, case: str) -> Forecaster:
    """Put the case at REPOSITORY/CASE/1/model.onnx; its features are y and z, or those with categories."""
    forecaster, graph = exported(case)
    num_categories = forecaster.architecture.categories or (0,) * forecaster.architecture.num_features
    day = datetime(2024, 1, 1, tzinfo=UTC)
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    manifest = manifest_for(
        model,
        forecaster,
        name=case,
        features=[
            FeatureSpec(name=name, categories=LABELS[:num])
            for name, num in zip("yz", num_categories, strict=False)
        ],
        frequency="h",
        training=TrainingSummary(num_series=1, num_rows=1, num_missing=0, first_time=day, last_time=day),
        backtest={},
        parity_error=0.0,
    )
    path = repository / case / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(seal(model, manifest))
    return forecaster
