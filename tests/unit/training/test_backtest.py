"""The backtest runs the file and scores what it forecast."""

import numpy as np
import onnxruntime
import pytest
import torch

from models.state import initial_state
from tests import model_files
from tests.unit.training.series_files import wave
from training.backtesting.run import held_out_scores
from training.dataset import SeriesData
from training.streaming import stream

HELD_OUT = 30


def _one(values: np.ndarray, name: str = "a") -> SeriesData:
    times = np.datetime64("2024-01-01T00", "us") + np.arange(len(values)) * np.timedelta64(1, "h")
    return SeriesData(name, times, values, len(values) - HELD_OUT)


def _features(num_rows: int, seed: int = 0) -> np.ndarray:
    return np.column_stack([wave(num_rows, seed=seed), np.arange(num_rows)])


def _forecasts(values: np.ndarray, cell: str = "lstm") -> np.ndarray:
    forecaster = model_files.forecaster(cell)
    with torch.inference_mode():
        forecast, _ = forecaster(torch.from_numpy(values[None]), initial_state(forecaster.state_init(), 1))
    return forecast[0].numpy().astype(np.float64)


def test_stream_is_the_module_row_by_row() -> None:
    """A series longer than one chunk keeps its state from chunk to chunk."""
    content, manifest = model_files.sealed("m", "lstm")
    values = _features(1_200)
    found = stream(onnxruntime.InferenceSession(content), manifest, values)
    np.testing.assert_allclose(found, _forecasts(values), rtol=0, atol=1e-3)


def test_scores_are_those_of_the_held_out_origins() -> None:
    """MAE and coverage by a plain loop over the held-out origins, and seasonal naive's beside them."""
    content, manifest = model_files.sealed("m", "lstm")
    values = _features(200)
    values[180, 0] = np.nan
    found = held_out_scores(content, [_one(values)])
    forecasts, target = _forecasts(values), values[:, 0]
    errors, inside, naive = [], [], []
    for origin in range(200 - HELD_OUT - 1, 200 - manifest.horizon):
        for step in range(manifest.horizon):
            actual = target[origin + 1 + step]
            if np.isnan(actual):
                continue
            lower, middle, upper = forecasts[origin, step]
            errors.append(abs(actual - middle))
            inside.append(lower <= actual <= upper)
            naive.append(abs(actual - target[origin + 1 + step - 24]))
    assert found["mae"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert found["coverage"] == pytest.approx(np.mean(inside))
    assert found["seasonal_naive_mae"] == pytest.approx(np.mean(naive))
    assert found["mase"] / found["mae"] == pytest.approx(
        found["seasonal_naive_mase"] / found["seasonal_naive_mae"]
    )


def test_of_a_forecast_that_lags_only_steps_to_come_are_scored() -> None:
    """A cell that waits two rows has seen two steps of each forecast; naive starts at the same newest row."""
    content, manifest = model_files.sealed("m", "bidirectional")
    assert manifest.look_ahead == 2
    values = _features(200)
    found = held_out_scores(content, [_one(values)])
    forecasts, target = _forecasts(values, "bidirectional"), values[:, 0]
    errors, naive = [], []
    for origin in range(200 - HELD_OUT - 1, 200 - manifest.horizon):
        newest = origin + 2
        for step in range(2, manifest.horizon):
            at = origin + 1 + step
            assert at > newest
            errors.append(abs(target[at] - forecasts[newest, step, 1]))
            naive.append(abs(target[at] - target[at - 24]))
    assert found["mae"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert found["seasonal_naive_mae"] == pytest.approx(np.mean(naive))


def test_series_do_not_disturb_each_other() -> None:
    """The MASE of several series is the mean of each one's own."""
    content, _ = model_files.sealed("m", "lstm")
    series = [_one(_features(150, seed), str(seed)) for seed in range(3)]
    alone = [held_out_scores(content, [one])["mase"] for one in series]
    assert held_out_scores(content, series)["mase"] == pytest.approx(np.mean(alone))


def test_score_without_data_is_left_out() -> None:
    """A constant series has no scale: its MASE is left out, as JSON knows no NaN."""
    content, _ = model_files.sealed("m", "lstm")
    found = held_out_scores(content, [_one(np.full((150, 2), 7.0))])
    assert "mase" not in found
    assert found["seasonal_naive_mae"] == 0


def test_baselines_are_scored_on_the_same_rows() -> None:
    """Each baseline has every point score; those that are fitted where asked for; drift's by a plain loop."""
    content, manifest = model_files.sealed("m", "lstm")
    values = _features(200)
    names = {"seasonal_naive", "naive", "drift", "markov_chain"}
    quick = held_out_scores(content, [_one(values)])
    assert {name for name in quick if name.endswith("_mae")} == {f"{name}_mae" for name in names}
    every = held_out_scores(content, [_one(values)], fitted=True)
    names |= {"holt_winters", "arima", "markov_switching"}
    assert {f"{name}_{score}" for name in names for score in ("mae", "mase", "smape")} <= set(every)
    assert quick["mae"] == every["mae"]
    target, errors = values[:, 0], []
    for origin in range(200 - HELD_OUT - 1, 200 - manifest.horizon):
        slope = (target[origin] - target[0]) / origin
        ahead = np.arange(1, manifest.horizon + 1)
        errors.append(np.abs(target[origin] + slope * ahead - target[origin + ahead]))
    assert quick["drift_mae"] == pytest.approx(np.mean(errors))


def test_a_baseline_without_every_series_is_left_out() -> None:
    """One that cannot be fitted to a constant series is not scored on the others alone."""
    content, _ = model_files.sealed("m", "lstm")
    series = [_one(_features(150)), _one(np.full((150, 2), 7.0), "constant")]
    found = held_out_scores(content, series, fitted=True)
    assert "arima_mae" not in found
    assert "drift_mae" in found
