"""The quantile head."""

import pytest
import torch

from models.heads.quantile import QuantileHead

HORIZON = 3


def _head(levels: list[float]) -> QuantileHead:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        head = QuantileHead(4, HORIZON, levels)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.mul_(20.0).add_(0.1)
    return head


@pytest.mark.parametrize(
    ("levels", "centre"),
    [
        ([0.3], 0),
        ([0.5, 0.9], 0),
        ([0.1, 0.5], 1),
        ([0.1, 0.5, 0.9], 1),
        ([0.1, 0.2, 0.5, 0.8, 0.9], 2),
        ([0.1, 0.4, 0.8, 0.9], 1),
        ([0.6, 0.8, 0.9], 0),
    ],
)
def test_levels_stand_in_order_around_the_free_one(levels: list[float], centre: int) -> None:
    """However many levels lie on either side, each rises on the one before, and the centre is free."""
    head = _head(levels)
    hidden = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        quantiles = head(hidden)
    assert quantiles.shape == (2, 5, HORIZON, len(levels))
    assert (quantiles.diff(dim=-1) > 0).all()
    torch.testing.assert_close(quantiles[..., centre], head.centre(hidden))


def test_steps_are_elu_plus_one() -> None:
    """The step from one level to the next is ELU + 1 of its column, far out on both sides too."""
    head = QuantileHead(1, 1, [0.5, 0.9])
    assert head.steps is not None
    with torch.no_grad():
        head.centre.weight.zero_()
        head.steps.weight.fill_(1.0)
        x = torch.tensor([-200.0, -3.0, -1e-6, 0.0, 1e-6, 2.0, 500.0])
        steps = head(x[:, None])[:, 0].diff(dim=-1)[:, 0]
    torch.testing.assert_close(steps, torch.nn.functional.elu(x) + 1)
    assert (steps >= 0).all()
