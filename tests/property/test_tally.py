"""Forecasts that are looked at piece by piece and let go are scored as if all were held."""

from dataclasses import asdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.backtesting.tally import Tally

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
STEPS = 3


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 30), st.lists(st.integers(0, 30), max_size=5), st.integers(0, 2**32 - 1))
def test_pieces_are_the_whole(num: int, cuts: list[int], seed: int) -> None:
    """Any cut of the forecasts into pieces, each in a tally of its own and merged, gives the same sums."""
    random = np.random.default_rng(seed)
    actual = random.normal(size=(num, STEPS))
    actual[random.random(actual.shape) < 0.2] = np.nan
    fans = np.sort(random.normal(size=(num, STEPS, len(LEVELS))), axis=-1)
    whole, merged = (Tally.empty(STEPS, len(LEVELS)) for _ in range(2))
    whole.add(actual, fans, LEVELS)
    for piece in np.split(np.arange(num), sorted(cuts)):
        one = Tally.empty(STEPS, len(LEVELS))
        one.add(actual[piece], fans[piece], LEVELS)
        merged.merge(one)
    for name, sums in asdict(whole).items():
        np.testing.assert_allclose(asdict(merged)[name], sums, rtol=1e-12, atol=1e-12, err_msg=name)
