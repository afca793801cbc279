"""A classifier from a file to a published model, and its scores."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cli.main import app
from models.artifact import unseal
from models.manifest import FeatureSpec, Manifest, StateSpec, TrainingSummary
from training.dataset import SeriesData
from training.label_scores import label_scores


def test_command_trains_a_classifier_and_says_so(tmp_path: Path) -> None:
    """Labels of rows, with a covariate of words: published, scored beside the most frequent, inspected."""
    random = np.random.default_rng(0)
    lines = ["ds,sky,pressure,wind"]
    for hour in range(96):
        rains = random.random() < 0.4
        time = np.datetime64("2024-01-01T00", "h") + hour
        words = "rain" if rains else "dry", "sw" if rains else "n"
        lines.append(f"{time}:00,{words[0]},{1000 - 9 * rains + random.normal():.1f},{words[1]}")
    data = tmp_path / "sky.csv"
    data.write_text("\n".join(lines))
    options = {
        "data": data, "output": tmp_path / "r" / "sky", "freq": "h", "target": "sky", "task": "binary",
        "categorical": "wind", "hidden-size": 4, "max-epochs": 12, "segment-length": 16, "cell": "gru",
        "learning-rate": 0.03,
    }  # fmt: skip
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    result = CliRunner().invoke(app, ["train", *arguments])
    assert result.exit_code == 0, result.output
    assert "most frequent" in result.output
    assert "accuracy" in result.output
    _, manifest = unseal((tmp_path / "r/sky/1/model.onnx").read_bytes())
    assert (manifest.task, manifest.predicts, manifest.labels) == ("binary", "row", ("dry", "rain"))
    assert [feature.categories for feature in manifest.features] == [(), ("n", "sw")]
    assert (manifest.head, manifest.horizon, manifest.quantile_levels) == ("binary", 1, ())
    assert manifest.backtest["log_loss"] < manifest.backtest["most_frequent_log_loss"] / 2
    shown = CliRunner().invoke(app, ["inspect", str(tmp_path / "r" / "sky")]).output
    for part in ("binary of the row at hand", "dry, rain", "wind (2 categories)", "gru, binary, direct"):
        assert part in shown


def _manifest(predicts: str) -> Manifest:
    day = datetime(2024, 1, 1, tzinfo=UTC)
    return Manifest.model_validate(
        {
            "name": "m", "digest": "sha256:" + "0" * 64, "cell": "gru", "task": "classification",
            "predicts": predicts, "labels": ("a", "b"), "features": (FeatureSpec(name="x"),),
            "frequency": "h", "season_length": 24, "horizon": 1, "opset": 20, "backtest": {},
            "states": (StateSpec(name="hidden_0", shape=(2,), dtype="float32"),), "parity_error": 0.0,
            "training": TrainingSummary(
                num_series=1, num_rows=1, num_missing=0, first_time=day, last_time=day
            ),
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("predicts", "start", "expected"),
    [
        # Held out: b at row 3 (0.6) and a at row 4 (0.3); trained on a, b, a.
        ("row", 3, (0.5, [0.6, 0.3], 0.5, [1 / 3, 2 / 3])),
        # After rows 2 and 3: b (0.2) and a (0.4).
        ("ahead", 3, (0.0, [0.2, 0.4], 0.5, [1 / 3, 2 / 3])),
    ],
)
def test_scores_are_those_of_the_held_out_labels(
    predicts: str, start: int, expected: tuple[float, list[float], float, list[float]]
) -> None:
    """Accuracy and the mean of -log p, of the model and of the training part's shares."""
    times = np.datetime64("2024-01-01T00", "us") + np.arange(5) * np.timedelta64(1, "h")
    labels = np.array([0.0, 1.0, 0.0, 1.0, 0.0])
    one = SeriesData("s", times, labels[:, None], start, labels)
    of_b = np.array([0.5, 0.5, 0.2, 0.6, 0.7])
    streamed = np.stack([1 - of_b, of_b], axis=1)[:, None].astype(np.float32)
    accuracy, chosen, naive_accuracy, naive_chosen = expected
    scores = label_scores(_manifest(predicts), [one], [streamed])
    assert scores["accuracy"] == accuracy
    assert scores["log_loss"] == pytest.approx(-np.log(chosen).mean())
    assert scores["most_frequent_accuracy"] == naive_accuracy
    assert scores["most_frequent_log_loss"] == pytest.approx(-np.log(naive_chosen).mean())
    chain = {name: value for name, value in scores.items() if name.startswith("markov_chain")}
    # After a came b, after b a, and one more count is shared by how frequent each is; the row's own label has
    # none before it that a caller knows.
    expected_loss = pytest.approx(-np.log([2 / 3, 5 / 6]).mean())
    foretold = {"markov_chain_accuracy": 1.0, "markov_chain_log_loss": expected_loss}
    assert chain == (foretold if predicts == "ahead" else {})
