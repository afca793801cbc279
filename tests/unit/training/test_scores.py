"""Scores against sums done by hand."""

import numpy as np
import pytest

from training import scores

nan = np.nan
LEVELS = np.array([0.1, 0.5, 0.9])


def test_mean_absolute_error_leaves_out_what_was_not_observed() -> None:
    """A missing actual value counts neither way."""
    assert scores.mean_absolute_error(np.array([[1.0, nan], [4.0, 2.0]]), np.zeros((2, 2))) == pytest.approx(
        7 / 3
    )
    assert np.isnan(scores.mean_absolute_error(np.array([[nan]]), np.zeros((1, 1))))


def test_symmetric_percentage_error() -> None:
    """200 where one side is zero, 0 where both are."""
    actual, point = np.array([[1.0, 0.0, 3.0]]), np.array([[0.0, 0.0, 1.0]])
    assert scores.symmetric_percentage_error(actual, point) == pytest.approx((200 + 0 + 100) / 3)


def test_seasonal_scale() -> None:
    """The mean change from season to season, from row to row where the history is short."""
    assert scores.seasonal_scale(np.array([1.0, 5, 2, 7, nan, 6]), 2) == pytest.approx((1 + 2 + 1) / 3)
    assert scores.seasonal_scale(np.array([1.0, 5, 2]), 12) == pytest.approx(3.5)
    assert np.isnan(scores.seasonal_scale(np.ones(30), 12))


def test_weighted_quantile_loss() -> None:
    """Twice the quantile losses over the sum of absolute values, averaged over the levels."""
    actual, forecast = np.array([[10.0, nan]]), np.array([[[8.0, 9.0, 12.0], [0.0, 0.0, 0.0]]])
    expected = 2 * (0.1 * 2 + 0.5 * 1 + 0.1 * 2) / 10 / 3
    assert scores.weighted_quantile_loss(actual, forecast, LEVELS) == pytest.approx(expected)


def test_coverage_counts_the_bounds_in() -> None:
    """Observed values inside or on the interval, over the observed."""
    actual = np.array([[1.0, 2.0, 5.0, nan]])
    assert scores.coverage(actual, np.full((1, 4), 1.0), np.full((1, 4), 4.0)) == pytest.approx(2 / 3)


def test_seasonal_naive_repeats_the_last_season() -> None:
    """Each step ahead is the newest value of the same phase, however far ahead."""
    forecast = scores.seasonal_naive(np.array([1.0, 2, 3, 4, 5]), 4, 3)
    assert forecast[4].tolist() == [3, 4, 5, 3]
    assert forecast[2].tolist() == [1, 2, 3, 1]


def test_seasonal_naive_is_causal() -> None:
    """A forecast does not change when later rows do."""
    history = np.random.default_rng(0).normal(size=40)
    changed = history.copy()
    changed[25:] = 99
    first, second = (scores.seasonal_naive(values, 9, 7)[:25] for values in (history, changed))
    np.testing.assert_array_equal(first, second)


def test_seasonal_naive_goes_without() -> None:
    """A missing value is that of the season before; before a whole season it is the last one seen."""
    forecast = scores.seasonal_naive(np.array([1.0, 2, 3, nan, 5, 6]), 3, 3)
    assert forecast[5].tolist() == [1, 5, 6]
    assert forecast[1].tolist() == [2, 1, 2]
    assert np.isnan(scores.seasonal_naive(np.array([nan, nan]), 2, 1)).all()


def test_point_forecast_is_the_level_nearest_the_median() -> None:
    """Whatever the levels are."""
    assert scores.median_column(LEVELS) == 1
    assert scores.median_column(np.array([0.05, 0.4, 0.95])) == 1
