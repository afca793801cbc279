"""Counts by likelihood, against scipy's negative binomial distribution."""

import numpy as np
import pytest
import scipy.stats
import torch

from models.heads.negative_binomial import GRID, NegativeBinomialHead
from models.scaling import Unit

LEVELS = (0.02, 0.1, 0.5, 0.9, 0.99)


def _head() -> NegativeBinomialHead:
    return NegativeBinomialHead(2, 1, LEVELS).eval()


def _unit(level: float) -> Unit:
    one = torch.ones(1, 1, dtype=torch.float64)
    return Unit(level * one, one, level * one)


def _quantiles(mu: float, r: float) -> np.ndarray:
    """(Q,)"""
    return _head().answer(torch.tensor([[[1.0, r]]]), _unit(mu))[0, 0].numpy()


@pytest.mark.parametrize("mu", [0.1, 0.7, 3.0, 12.0, 40.0])
@pytest.mark.parametrize("r", [0.2, 1.0, 8.0, 500.0])
def test_a_quantile_rounded_up_is_that_of_scipy(mu: float, r: float) -> None:
    """On the grid of counts it is exact, from rare and clustered to nearly Poisson."""
    exact = scipy.stats.nbinom.ppf(LEVELS, r, r / (r + mu))
    on_grid = exact < GRID - 1
    np.testing.assert_array_equal(np.ceil(_quantiles(mu, r))[on_grid], exact[on_grid])


@pytest.mark.parametrize("mu", [150.0, 900.0, 50_000.0])
@pytest.mark.parametrize(("r", "tolerance"), [(0.7, 0.03), (3.0, 0.01), (100.0, 0.005)])
def test_beyond_the_grid_a_formula_comes_near(mu: float, r: float, tolerance: float) -> None:
    """Within a few hundredths of the mean and of the quantile, whichever is larger."""
    exact = scipy.stats.nbinom.ppf(LEVELS, r, r / (r + mu))
    np.testing.assert_allclose(_quantiles(mu, r), exact, rtol=tolerance, atol=max(tolerance * mu, 1.0))


def test_quantiles_move_without_jumps_and_never_cross() -> None:
    """As the mean grows through the grid's end, each level rises by about as much, above the one below it."""
    means = np.linspace(1, 300, 1500)
    found = np.array([_quantiles(mu, 2.0) for mu in means])
    assert (np.diff(found, axis=1) >= 0).all()
    assert (np.diff(found, axis=0) > -1.5).all()
    assert np.diff(found[:, 2]).max() < 2.5


def test_loss_is_the_negative_log_likelihood() -> None:
    """Of the counts that were observed, with the series' level as the mean's unit."""
    head, unit = _head(), _unit(5.0)
    numbers = torch.tensor([[[0.8, 1.7], [2.0, 0.4], [1.0, 30.0]]], requires_grad=True)
    targets = torch.tensor([[3.0, torch.nan, 0.0]], dtype=torch.float64)
    loss, terms = head.loss(numbers, targets, unit)
    expected = -scipy.stats.nbinom.logpmf([3, 0], [1.7, 30.0], [1.7 / (1.7 + 4.0), 30.0 / (30.0 + 5.0)]).sum()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert terms.item() == 2
    loss.backward()
    assert numbers.grad is not None
    assert torch.isfinite(numbers.grad).all()


@pytest.mark.parametrize("level", [0.0, -50.0, 1e6])
def test_any_level_gives_a_finite_answer(level: float) -> None:
    """A series of zeros, or of what are no counts at all, is forecast at or above zero."""
    found = _head().answer(torch.tensor([[[1.0, 1.0]]]), _unit(level))
    assert torch.isfinite(found).all()
    assert (found >= 0).all()
