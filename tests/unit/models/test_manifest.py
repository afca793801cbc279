"""What a manifest may say of a forecast's columns."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from models.manifest import FeatureSpec, Manifest, StateSpec, TrainingSummary


def _manifest(**changes: Any) -> Manifest:
    day = datetime(2024, 1, 1, tzinfo=UTC)
    values: dict[str, Any] = {
        "name": "m",
        "digest": "sha256:" + "0" * 64,
        "cell": "lstm",
        "features": (FeatureSpec(name="y"),),
        "frequency": "h",
        "season_length": 24,
        "horizon": 1,
        "states": (StateSpec(name="hidden_0", shape=(2,), dtype="float32"),),
        "opset": 20,
        "training": TrainingSummary(num_series=1, num_rows=1, num_missing=0, first_time=day, last_time=day),
        "backtest": {},
        "parity_error": 0.0,
    }
    return Manifest.model_validate(values | changes)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"quantile_levels": (0.1, 0.9)}, 2),
        ({"task": "binary", "labels": ("no", "yes")}, 2),
        ({"task": "classification", "labels": ("a", "b", "c")}, 3),
        ({"task": "next-symbol", "labels": tuple("abcd"), "horizon": 5}, 4),
    ],
)
def test_columns_are_levels_or_labels(columns: dict[str, Any], expected: int) -> None:
    """A regression has a column for each level, a classifier one for each label."""
    assert _manifest(**columns).num_columns == expected


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "task regression: expected quantile_levels and no labels, found 0 labels and 0"),
    ({"quantile_levels": (0.5,), "labels": ("a", "b")}, "task regression: .* found 2 labels and 1"),
    ({"task": "binary", "labels": ("a", "b", "c")}, "task binary: expected two labels .* found 3 labels"),
    ({"task": "binary", "labels": ("a", "b"), "quantile_levels": (0.5,)}, "task binary: .* and 1 quantile"),
    ({"task": "next-symbol", "labels": ("a",)}, "task next-symbol: expected two labels or more"),
    ({"task": "classification", "labels": ("a", "a")}, "labels must have distinct names"),
    ({"task": "ranking"}, "task"),
    (
        {"task": "binary", "labels": ("a", "b"), "predicts": "series", "horizon": 2},
        "predicts series: expected a horizon of 1, found 2",
    ),
    (
        {"quantile_levels": (0.5,), "features": (FeatureSpec(name="y", categories=("a", "a")),)},
        "categories of y must have distinct names",
    ),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_columns_that_contradict_the_task_are_refused(changes: dict[str, Any], message: str) -> None:
    """The error names the task, what it needs and what was found."""
    with pytest.raises(ValidationError, match=message):
        _manifest(**changes)
