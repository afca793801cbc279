"""Baselines forecast what their equations say, and see no row that is yet to come."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.unit.training.series_files import wave
from training.baselines import FITTED, QUICK, Baseline, MarkovChain
from training.baselines.differences import differences, undo
from training.baselines.label_chain import label_forecasts, label_transitions

NUM, FITTED_TO, HORIZON, SEASON = 120, 90, 15, 12


def _chain(target: np.ndarray) -> Baseline:
    return MarkovChain.fit([target[:FITTED_TO]]).forecasts


EVERY: dict[str, Callable[[np.ndarray], Baseline]] = {
    **{name: lambda _, found=found: found for name, found in {**QUICK, **FITTED}.items()},
    "markov_chain": _chain,
}


@pytest.mark.parametrize("name", EVERY)
def test_no_baseline_sees_what_is_to_come(name: str) -> None:
    """Rows after an origin, within the validation part, change none of the forecasts up to it."""
    target = wave(NUM)
    target[95] = np.nan
    other = target.copy()
    other[101:] += 50 * np.arange(1, NUM - 100)
    first, second = (EVERY[name](target)(one, FITTED_TO, HORIZON, SEASON) for one in (target, other))
    assert first is not None
    assert second is not None
    assert first.shape == (NUM, HORIZON)
    assert np.isfinite(first[FITTED_TO - 1 :]).all()
    np.testing.assert_allclose(first[:101], second[:101], rtol=1e-9)
    assert not np.allclose(first[101:], second[101:])


@pytest.mark.parametrize("name", ["holt_winters", "arima", "markov_switching"])
def test_a_season_and_a_trend_are_learned(name: str) -> None:
    """On a wave about a line the error is that of its noise, a small part of the wave."""
    target = wave(NUM)
    found = EVERY[name](target)(target, FITTED_TO, 5, SEASON)
    assert found is not None
    errors = [abs(found[row, step] - target[row + 1 + step]) for row in range(90, 115) for step in range(5)]
    assert np.mean(errors) < 0.6
    assert np.mean(np.abs(np.diff(target))) > 1.2


@pytest.mark.parametrize("name", EVERY)
def test_nothing_to_fit(name: str) -> None:
    """A series without values, or of one value, gives no forecasts or constant ones; never an error."""
    for target, values in ((np.full(NUM, np.nan), None), (np.full(NUM, 7.0), 7.0)):
        found = EVERY[name](target)(target, FITTED_TO, 3, SEASON)
        assert found is None or np.isnan(found).all() or np.allclose(found[FITTED_TO:], values)


def test_drift_is_the_line_through_first_and_last() -> None:
    """On a line it is exact, over missing rows too."""
    target = 3 + 0.5 * np.arange(20.0)
    expected = target[-1] + 0.5 * np.arange(1, 4)
    target[[0, 7, 19]] = np.nan
    found = QUICK["drift"](target, 10, 3, 1)
    assert found is not None
    np.testing.assert_allclose(found[19], expected)
    assert np.isnan(found[0]).all()


def test_a_chain_of_alternating_values() -> None:
    """Two values in turn: the next is the other one, and the one after it the same again."""
    target = np.tile([1.0, 5.0], 30)
    chain = MarkovChain.fit([target], num_bins=2)
    np.testing.assert_allclose(chain.transitions, [[0, 1], [1, 0]])
    target = np.append(target, np.nan)
    found = chain.forecasts(target, 60, 3, 1)
    assert found is not None
    np.testing.assert_allclose(found[58], [5, 1, 5])
    np.testing.assert_allclose(found[59], [1, 5, 1])
    # A row without a value is a step on its own.
    np.testing.assert_allclose(found[60], [5, 1, 5])


def test_a_chain_counts_within_series() -> None:
    """Bins are each series' own, and the last row of one is not before the first of the next."""
    low, high = np.tile([0.0, 1.0], 20), 1_000 + np.tile([0.0, 0.0, 1.0, 1.0], 10)
    chain = MarkovChain.fit([low, high], num_bins=2)
    np.testing.assert_allclose(chain.transitions, [[10 / 40, 30 / 40], [28 / 38, 10 / 38]], atol=0.02)
    assert MarkovChain.fit([np.full(5, np.nan)]).transitions.trace() == 8


def test_differences_come_back() -> None:
    """Undone with the differences that came, forecasts are what came, further than a season ahead too."""
    target = wave(80)
    changes = differences(target, 12)
    ahead = np.lib.stride_tricks.sliding_window_view(changes[13:], 20)
    rows = np.arange(12, 60)
    found = undo(target[12:60], ahead[: len(rows)], 12)
    expected = np.lib.stride_tricks.sliding_window_view(target[13:], 20)
    np.testing.assert_allclose(found[12:], expected[12 : len(rows)])


def test_labels_that_follow_each_other_are_foretold() -> None:
    """Of a, b, c in turn the chain says the next two; after a missing label, how frequent each is."""
    labels = np.tile([0.0, 1.0, 2.0], 40)
    frequencies = np.full(3, 1 / 3)
    transitions = label_transitions([labels], frequencies)
    np.testing.assert_allclose(transitions.sum(axis=1), 1)
    found = label_forecasts(transitions, np.array([0.0, 2.0, np.nan]), 2, frequencies)
    assert found.argmax(axis=2)[:2].tolist() == [[1, 2], [0, 1]]
    assert found[:2].max(axis=2).min() > 0.9
    np.testing.assert_allclose(found[2], 1 / 3)
