"""Heads trained by likelihood, against scipy and torch's own distributions."""

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from models.heads import HEADS, RegressionHead
from models.heads.student_t import StudentTHead
from models.scaling import Unit

HORIZON = 3
LEVELS = (0.05, 0.5, 0.8, 0.99)
LIKELIHOOD = ["gaussian", "student-t"]


def head_of(name: str, levels: tuple[float, ...] = LEVELS) -> RegressionHead:
    """A head whose numbers differ from step to step."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = HEADS[name](4, HORIZON, levels, 0)
        assert isinstance(head, RegressionHead)
        with torch.no_grad():
            for name_of, parameter in head.named_parameters():
                if name_of == "freedom":
                    parameter.fill_(0.5)  # 3.5 degrees of freedom: far from normal
                else:
                    parameter.mul_(10).add_(0.3 * torch.randn(parameter.shape))
    return head.eval()


def hidden_rows() -> Tensor:
    """(2, 5, 4)."""
    return torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1))


def unit_of(level: float = 50.0) -> Unit:
    """(2, 5, 1) each."""
    random = np.random.default_rng(2)
    location = torch.from_numpy(level + random.normal(size=(2, 5, 1)))
    return Unit(location, torch.from_numpy(random.uniform(0.5, 3, (2, 5, 1))), location + 1)


def _distribution(head: RegressionHead, numbers: Tensor) -> torch.distributions.Distribution:
    mu, sigma = numbers.unbind(dim=-1)
    if isinstance(head, StudentTHead):
        return torch.distributions.StudentT(head.degrees_of_freedom, mu, sigma)
    return torch.distributions.Normal(mu, sigma)


@pytest.mark.parametrize("name", LIKELIHOOD)
def test_loss_is_the_negative_log_likelihood(name: str) -> None:
    """Of the scaled targets that were observed, as torch's distribution has it; others add nothing."""
    head, unit = head_of(name), unit_of()
    numbers = head(hidden_rows())
    targets = unit.location + 2 * torch.randn(2, 5, HORIZON, generator=torch.Generator().manual_seed(3))
    scaled = ((targets - unit.location) / unit.scale).float()
    expected = -_distribution(head, numbers).log_prob(scaled)
    targets[0, 1, 2] = targets[1, 3] = torch.nan
    expected[0, 1, 2] = 0.0
    expected[1, 3] = 0.0
    loss, terms = head.loss(numbers, targets, unit)
    torch.testing.assert_close(loss, expected.sum())
    assert terms.item() == 2 * 5 * HORIZON - 1 - HORIZON
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", LIKELIHOOD)
def test_quantiles_are_those_of_scipy(name: str) -> None:
    """location + scale x the distribution's quantile at each level."""
    head, unit = head_of(name), unit_of()
    with torch.no_grad():
        numbers = head(hidden_rows())
        found = head.answer(numbers, unit)
    mu, sigma = (part[..., None] for part in numbers.double().unbind(dim=-1))
    if isinstance(head, StudentTHead):
        deviates = scipy.stats.t(head.degrees_of_freedom.item()).ppf(LEVELS)
    else:
        deviates = scipy.stats.norm.ppf(LEVELS)
    scaled = mu + sigma * torch.from_numpy(deviates)
    expected = unit.location[..., None] + unit.scale[..., None] * scaled
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    assert (found.diff(dim=-1) > 0).all()


@pytest.mark.parametrize("name", ["quantile", *LIKELIHOOD])
def test_any_other_quantile_can_be_asked_for(name: str) -> None:
    """At the head's own levels it is the answer, and a place may have a level of its own."""
    head, unit = head_of(name), unit_of()
    with torch.no_grad():
        numbers = head(hidden_rows())
        answer = head.answer(numbers, unit)
        torch.testing.assert_close(head.at(numbers, head.points(np.array(LEVELS)), unit), answer)
        one_each = head.at(numbers, head.points(np.array(LEVELS[:HORIZON])[:, None]), unit)
    torch.testing.assert_close(one_each[..., 0], answer.diagonal(dim1=-2, dim2=-1))


def test_learned_quantiles_are_joined_on_the_axis_of_a_normal_deviate() -> None:
    """Three quantiles of a normal distribution give back all others, between them and beyond."""
    head = head_of("quantile", (0.1, 0.5, 0.9))
    unit = Unit(*(torch.zeros(1, 1), torch.ones(1, 1), torch.zeros(1, 1)))
    known = torch.tensor(scipy.stats.norm.ppf((0.1, 0.5, 0.9)), dtype=torch.float32)[None, None]
    levels = np.array([0.01, 0.3, 0.5, 0.85, 0.999])
    found = head.at(known, head.points(levels), unit)
    np.testing.assert_allclose(found[0, 0], scipy.stats.norm.ppf(levels), rtol=1e-5, atol=1e-6)


def test_degrees_of_freedom_are_learned_and_brought_up_to_date() -> None:
    """Heavy tails pull them down, and evaluation forecasts with the ones of now."""
    head, unit = head_of("student-t"), Unit(*(torch.zeros(1), torch.ones(1), torch.zeros(1)))
    assert isinstance(head, StudentTHead)
    head.train()
    with torch.no_grad():
        head.freedom.fill_(8.0)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
    draws = torch.from_numpy(np.random.default_rng(0).standard_t(2.5, (4000, HORIZON)))
    for _ in range(150):
        optimizer.zero_grad()
        loss, terms = head.loss(head(torch.ones(1, 4)), draws, unit)
        (loss / terms).backward()
        optimizer.step()
    freedom = head.eval().degrees_of_freedom.item()
    assert 2.0 < freedom < 4.0
    np.testing.assert_allclose(head.level_points, scipy.stats.t(freedom).ppf(LEVELS), rtol=1e-5)
