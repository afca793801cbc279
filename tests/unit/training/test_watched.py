"""Forecasters that look back at their own forecasts: their options, their file, and what a file says."""

from datetime import UTC, datetime
from typing import Any

import pytest

from models.artifact import ANOMALY, check
from models.manifest import FeatureSpec, TrainingSummary
from tests.task_models import exported, forecaster_of
from training.describe import manifest_for
from training.parity import check_parity
from training.settings import SettingsError, TrainSettings

WATCHED: dict[str, Any] = {
    "calibrate": True,
    "anomaly": True,
    "horizon": 40,
    "quantile_levels": (0.1, 0.5, 0.9),
}
GIVEN: dict[str, Any] = {"data": "a.csv", "output": "r/m", "freq": "h", "horizon": 3}


def test_the_file_computes_what_torch_does() -> None:
    """Offsets, waiting forecasts, thinned ones too, and scores come out of ONNX Runtime as out of torch."""
    forecaster, graph = exported("watched")
    assert check_parity(graph.SerializeToString(), forecaster) < 1e-4


def test_the_manifest_says_so() -> None:
    """The file's graph has the scores that its manifest promises, and not without the promise."""
    forecaster, graph = exported("watched")
    day = datetime(2024, 1, 1, tzinfo=UTC)
    manifest = manifest_for(
        graph,
        forecaster,
        name="m",
        features=[FeatureSpec(name="y"), FeatureSpec(name="x")],
        frequency="h",
        training=TrainingSummary(num_series=1, num_rows=1, num_missing=0, first_time=day, last_time=day),
        backtest={},
        parity_error=0.0,
    )
    assert manifest.calibrated
    assert manifest.scores_anomalies
    check(graph, manifest)
    with pytest.raises(ValueError, match=ANOMALY):
        check(graph, manifest.model_copy(update={"scores_anomalies": False}))


@pytest.mark.parametrize("option", ["calibrate", "anomaly"])
@pytest.mark.parametrize(
    "other",
    [
        {"decoder": "roll-out"},
        {"task": "binary", "predicts": "ahead"},
        {"cell": "bidirectional", "look_ahead": 1},
        {"quantile_levels": (0.5,)},
    ],
)
def test_what_cannot_be_watched_is_refused(option: str, other: dict[str, Any]) -> None:
    """Labels, roll-outs, forecasts that wait for rows and a single level leave nothing to judge by."""
    with pytest.raises(SettingsError, match=r"expected (no|two)"):
        TrainSettings.build({**GIVEN, option: True, **other})


def test_a_forecaster_refuses_them_as_well() -> None:
    """A module that was put together without the options is held to the same."""
    with pytest.raises(ValueError, match="calibrate"):
        forecaster_of(calibrate=True, decoder="roll-out")
