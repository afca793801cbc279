"""Anomaly scores: where a value lies in the forecast before it, and how unusual rows are of late."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import norm

from models.anomaly import Anomaly
from models.heads.deviates import normal_deviates
from models.state import State, initial_state
from models.tail import upper_tail

LEVELS = (0.1, 0.5, 0.9)
Floats = npt.NDArray[np.float64]


def _score(anomaly: Anomaly, y: Floats, state: State | None = None) -> tuple[Floats, State]:
    """Scores (T, 2) of values y (T,), each forecast to be standard normal."""
    normal = torch.tensor(normal_deviates(np.array(LEVELS)), dtype=torch.float32)
    state = initial_state(anomaly.state_init(), 1) if state is None else state
    width = torch.full((1, len(y), 1), float(normal[-1] - normal[0]))
    scores, after = anomaly(torch.from_numpy(y)[None, :, None], normal.expand(1, len(y), 3), width, state)
    return scores[0].double().numpy(), after


def test_the_position_is_that_of_the_distribution() -> None:
    """Of a normal forecast the position is the normal's own, between the levels and beyond them."""
    values = np.array([-3.0, -1.5, -0.4, 0.0, 0.9, 1.2816, 2.5])
    scores, _ = _score(Anomaly(LEVELS), np.concatenate([np.zeros(5), values]))
    np.testing.assert_allclose(scores[5:, 0], norm.cdf(values), rtol=0.004, atol=1e-5)


def test_a_row_without_a_forecast_or_a_value_has_no_score() -> None:
    """The first rows, until a forecast counts, and missing values are NaN in both columns."""
    y = np.zeros(9)
    y[6] = np.nan
    scores, _ = _score(Anomaly(LEVELS), y)
    assert np.isnan(scores).all(axis=1).tolist() == [True] * 4 + [False, False, True, False, False]
    assert np.isnan(scores).any(axis=1).tolist() == np.isnan(scores).all(axis=1).tolist()


def test_a_run_of_surprises_has_a_small_tail_probability() -> None:
    """Ordinary rows are ordinary; ten rows three deviations off are not, and are forgotten after a while."""
    y = np.random.default_rng(0).normal(size=3000)
    y[2500:2510] = 3.0
    tail = _score(Anomaly(LEVELS), y)[0][:, 1]
    assert np.mean(tail[200:2500] < 0.01) < 0.01
    assert tail[2509] < 0.001
    assert tail[2509] < tail[2500:2506].min() / 4
    assert tail[2600:].min() > 0.002


def test_one_surprise_is_enough() -> None:
    """A single value far off is improbable, the further the more, however far."""
    y = np.random.default_rng(0).normal(size=2000)
    tails = []
    for far in (6.0, 60.0, 6e3, 6e5):
        y[-1] = far
        tails.append(_score(Anomaly(LEVELS), y)[0][-1, 1])
    assert tails[0] < 1e-3
    assert all(0 < far < 0.01 * near for near, far in pairwise(tails))


@pytest.mark.parametrize("kind", ["normal", "heavy", "spikes"])
def test_a_probability_means_the_same_of_every_series(kind: str) -> None:
    """Of light tails or heavy, about a hundredth of the rows lies below 0.01, and few below 0.001."""
    random, shape = np.random.default_rng(3), 20_000
    y = {
        "normal": random.normal(size=shape),
        "heavy": random.standard_t(2.0, size=shape),
        "spikes": 0.01 * random.normal(size=shape)
        + (random.random(shape) < 0.01) * random.exponential(5, shape),
    }[kind]
    tail = _score(Anomaly(LEVELS), y)[0][200:, 1]
    assert 0.002 < np.mean(tail < 0.01) < 0.015
    assert np.mean(tail < 0.001) < 0.005


@pytest.mark.parametrize("factor", [0.02, 50.0])
def test_what_is_usual_is_learned(factor: float) -> None:
    """A session of a model that is always too sure, or never sure enough, is soon scored as any other."""
    y = np.random.default_rng(1).normal(size=1500)
    y[1200] = 8.0
    plain, wrong = (_score(Anomaly(LEVELS), scale * y)[0][:, 1] for scale in (1.0, factor))
    assert plain[1200] < 1e-3
    np.testing.assert_allclose(np.log(wrong[1000:]), np.log(plain[1000:]), atol=0.2)


def test_levels_without_a_distance_have_scores() -> None:
    """A forecast of nothing but zeros, as of rare counts, gives numbers; another value is furthest off."""
    anomaly, y = Anomaly(LEVELS), torch.tensor([0.0] * 6 + [2.0, 0.0]).double().reshape(1, -1, 1)
    zeros, width = torch.zeros(1, 8, 3), torch.full((1, 8, 1), 1e-3)
    scores, _ = anomaly(y, zeros, width, initial_state(anomaly.state_init(), 1))
    assert scores[0, 4:].isfinite().all()
    assert scores[0, 6, 0] > 0.9999


def test_chunks_do_not_matter() -> None:
    """Rows one by one, some missing, give the scores and the state of the rows at once."""
    y = np.random.default_rng(2).normal(size=60)
    y[[3, 20, 21]] = np.nan
    anomaly = Anomaly(LEVELS)
    whole, whole_state = _score(anomaly, y)
    state, parts = None, []
    for row in range(len(y)):
        part, state = _score(anomaly, y[row : row + 1], state)
        parts.append(part)
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
    assert state is not None
    for name, value in whole_state.items():
        np.testing.assert_allclose(state[name], value, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("x", [-6.0, -1.0, 0.0, 0.5, 3.0, 9.0])
def test_the_tail_is_the_normals(x: float) -> None:
    """Within a third of a per cent, far out too."""
    assert float(upper_tail(torch.tensor(x))) == pytest.approx(norm.sf(x), rel=0.0034)
