"""Scores out of sums, by hand and as utilsforecast has them."""

import numpy as np
import pandas as pd
import pytest
from utilsforecast import losses

from training.backtesting.judged import Months, Pooled, scores_of
from training.backtesting.tally import Tally, inside_intervals, level_weights
from training.scores import seasonal_scale

# Evenly spaced, so that each stands for a fifth of all levels.
LEVELS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
NUM, STEPS, SEASON = 40, 3, 4


def _forecasts(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A history (T,), what came (N, K) and the quantiles forecast (N, K, Q)."""
    random = np.random.default_rng(seed)
    history = random.normal(5, 2, 60)
    actual = random.normal(5, 2, (NUM, STEPS))
    quantiles = np.sort(random.normal(5, 2, (NUM, STEPS, len(LEVELS))), axis=-1)
    return history, actual, quantiles


def _tally(actual: np.ndarray, quantiles: np.ndarray, levels: np.ndarray = LEVELS) -> Tally:
    tally = Tally.empty(actual.shape[1], len(levels))
    tally.add(actual, quantiles, levels)
    return tally


def _ours(history: np.ndarray, actual: np.ndarray, quantiles: np.ndarray) -> dict[str, float]:
    pooled = Pooled(Tally.empty(STEPS, len(LEVELS)), LEVELS, is_point=False, interval=0)
    pooled.add(_tally(actual, quantiles), seasonal_scale(history, SEASON))
    return pooled.scores()


def _frame(actual: np.ndarray, quantiles: np.ndarray) -> pd.DataFrame:
    columns = {f"q{at}": quantiles[..., at].ravel() for at in range(len(LEVELS))}
    ends = {"m": quantiles[..., 2].ravel(), "m-lo-80": columns["q0"], "m-hi-80": columns["q4"]}
    return pd.DataFrame({"unique_id": "a", "y": actual.ravel(), **columns, **ends})


def test_point_scores_are_the_librarys() -> None:
    """MAE, MSE, RMSE, sMAPE and MASE of the median as utilsforecast computes them from all rows at once."""
    history, actual, quantiles = _forecasts()
    found, frame = _ours(history, actual, quantiles), _frame(actual, quantiles)
    train = pd.DataFrame({"unique_id": "a", "y": history})
    assert found["mae"] == pytest.approx(losses.mae(frame, ["m"])["m"][0])
    assert found["mse"] == pytest.approx(losses.mse(frame, ["m"])["m"][0])
    assert found["rmse"] == pytest.approx(losses.rmse(frame, ["m"])["m"][0])
    # Theirs runs from 0 to 1, that of the M competitions from 0 to 200.
    assert found["smape"] == pytest.approx(200 * losses.smape(frame, ["m"])["m"][0])
    theirs = losses.mase(frame, ["m"], seasonality=SEASON, train_df=train)
    assert found["mase"] == pytest.approx(theirs["m"][0])


def test_quantile_scores_are_the_librarys() -> None:
    """wQL is its scaled CRPS; CRPS of evenly spaced levels is twice its mean quantile loss."""
    history, actual, quantiles = _forecasts(1)
    found, frame = _ours(history, actual, quantiles), _frame(actual, quantiles)
    columns = {"m": [f"q{at}" for at in range(len(LEVELS))]}
    assert found["weighted_quantile_loss"] == pytest.approx(
        losses.scaled_crps(frame, columns, LEVELS)["m"][0]
    )
    assert found["crps"] == pytest.approx(2 * losses.mqloss(frame, columns, LEVELS)["m"][0])


def test_interval_scores_are_the_librarys() -> None:
    """Coverage, and MSIS as its Winkler score over MASE's scale; the share below each level besides."""
    history, actual, quantiles = _forecasts(2)
    found, frame = _ours(history, actual, quantiles), _frame(actual, quantiles)
    assert found["coverage"] == pytest.approx(losses.coverage(frame, ["m"], 80)["m"][0])
    winkler = losses.winkler_score(frame, ["m"], 80)["m"][0]
    assert found["msis"] == pytest.approx(winkler / seasonal_scale(history, SEASON))
    below = _tally(actual, quantiles).over_steps().below[0] / actual.size
    for at in range(len(LEVELS)):
        assert below[at] == pytest.approx(losses.calibration(frame, {"m": f"q{at}"})["m"][0])


def test_scores_by_hand() -> None:
    """One value above the interval: y = 4, quantiles 1, 2, 3 at 0.1, 0.5, 0.9; scale 2."""
    levels = np.array([0.1, 0.5, 0.9])
    tally = _tally(np.array([[4.0]]), np.array([[[1.0, 2.0, 3.0]]]), levels)
    found = scores_of(tally, levels, 2.0, is_point=False, interval=0)
    # Quantile losses 0.3, 1 and 0.9; the levels stand for 0.3, 0.4 and 0.3 of all.
    expected = {
        "mae": 2,
        "mse": 4,
        "rmse": 2,
        "mase": 1,
        "smape": 100 * 2 * 2 / 6,
        "weighted_quantile_loss": 2 * (0.3 + 1 + 0.9) / 3 / 4,
        "crps": 2 * (0.3 * 0.3 + 0.4 * 1 + 0.3 * 0.9),
        "msis": (2 + 1 / 0.1) / 2,
        "coverage": 0,
    }
    assert {name: values.tolist() for name, values in found.items()} == {
        name: [pytest.approx(value)] for name, value in expected.items()
    }


def test_a_point_forecasts_crps_is_its_mean_absolute_error() -> None:
    """The loss of one point at every level, integrated over the levels, is half the error on either side."""
    for levels in (np.array([0.5]), np.array([0.02, 0.1, 0.5, 0.9, 0.98])):
        points = np.broadcast_to(np.array([[[3.0]], [[9.0]]]), (2, 1, len(levels)))
        tally = _tally(np.array([[5.0], [5.0]]), points, levels)
        found = scores_of(tally, levels, 1.0, is_point=True, interval=None)
        assert found["crps"][0] == pytest.approx(found["mae"][0]) == 3.0
        assert level_weights(levels).sum() == pytest.approx(1.0)


def test_missing_values_count_nowhere() -> None:
    """A value that did not come, or a forecast that was not made, leaves every score as without it."""
    _, actual, quantiles = _forecasts(3)
    more = np.concatenate([actual, np.full((1, STEPS), np.nan), np.ones((1, STEPS))])
    made = np.concatenate([quantiles, quantiles[:1], np.full((1, STEPS, len(LEVELS)), np.nan)])
    assert str(_tally(more, made)) == str(_tally(actual, quantiles))


def test_nothing_judged_has_no_score() -> None:
    """NaN, which the manifest leaves out, and no warning."""
    tally = Tally.empty(STEPS, len(LEVELS))
    found = scores_of(tally, LEVELS, 1.0, is_point=False, interval=0)
    assert all(np.isnan(values).all() for values in found.values())


def test_scaled_scores_are_means_over_series_and_others_over_values() -> None:
    """A short series weighs as much as a long one in MASE, and by its values in MAE; no scale, no say."""
    levels = np.array([0.1, 0.5, 0.9])
    pooled = Pooled(Tally.empty(1, 3), levels, is_point=False, interval=0)
    for num, error, scale in ((1, 4.0, 2.0), (3, 1.0, 1.0), (4, 2.0, np.nan)):
        fans = np.zeros((num, 1, 3)) + np.array([-error, 0, error])
        pooled.add(_tally(np.full((num, 1), error), fans, levels), scale)
    found = pooled.scores()
    assert found["mase"] == pytest.approx((4 / 2 + 1 / 1) / 2)
    assert found["mae"] == pytest.approx((4 + 3 * 1 + 4 * 2) / 8)
    assert pooled.by_step()["mase"] == pytest.approx([1.5])


def test_months_are_those_of_the_values() -> None:
    """A forecast across the turn of a month counts in both; a missing value in none."""
    months = Months()
    times = np.array([["2024-01-31T23", "2024-02-01T00", "2024-02-01T01"]], "datetime64[us]")
    actual = np.array([[0.0, 9.0, np.nan]])
    fans = np.zeros((1, 3, 3)) + np.array([-1.0, 0.0, 1.0])
    for _ in range(2):
        known = ~np.isnan(actual)
        months.add(times, known, inside_intervals(actual, fans, known))
    assert months.count == {"2024-01": 2, "2024-02": 2}
    assert {name: row.tolist() for name, row in months.inside.items()} == {"2024-01": [2], "2024-02": [0]}
