"""The loss and the carried state."""

import numpy as np
import pytest
import torch

from models.forecaster import Architecture, Forecaster
from models.heads.quantile import pinball_loss
from models.state import initial_state
from training import scores
from training.dataset import WARM_UP
from training.module import ForecasterModule
from training.segments import Segment, targets_of

LEVELS = (0.1, 0.5, 0.9)
HORIZON = 2


def _module(missing_rate: float = 0.0, required: tuple[int, ...] = ()) -> ForecasterModule:
    torch.manual_seed(0)
    forecaster = Forecaster(Architecture("gru", 1, 4, 1, 0.0, HORIZON, LEVELS))
    return ForecasterModule(
        forecaster, learning_rate=1e-3, missing_rate=missing_rate, required=required, seed=0
    )


def _rows(num_lanes: int = 2, num_rows: int = 12) -> np.ndarray:
    return 50 + np.random.default_rng(0).normal(size=(num_lanes, num_rows)).cumsum(axis=1)


def _segment(rows: np.ndarray, start: int, stop: int, fresh: list[bool]) -> Segment:
    targets = np.stack([targets_of(lane, HORIZON) for lane in rows])
    return Segment(
        torch.from_numpy(rows[:, start:stop, None].copy()),
        torch.from_numpy(targets[:, start:stop].copy()),
        torch.tensor(fresh),
    )


def test_pinball_loss_is_that_of_numpy() -> None:
    """The sum over observed targets is the formula's, term by term."""
    random = np.random.default_rng(0)
    actual = random.normal(size=(5, 4))
    forecast = random.normal(size=(5, 4, 3))
    actual[0, 1] = actual[3] = np.nan
    total, terms = pinball_loss(*map(torch.tensor, (forecast, actual, LEVELS)))
    expected = 0.0
    for index in np.argwhere(~np.isnan(actual)):
        for q, level in enumerate(LEVELS):
            error = actual[tuple(index)] - forecast[(*index, q)]
            expected += level * error if error >= 0 else (level - 1) * error
    assert total.item() == pytest.approx(expected)
    assert terms.item() == 15 * 3
    assert total.item() == pytest.approx(np.nansum(scores.pinball(actual, forecast, np.array(LEVELS))))


def test_missing_targets_leave_the_gradient_finite() -> None:
    """A NaN target contributes nothing, to the gradient either."""
    quantiles = torch.zeros(2, 3, requires_grad=True)
    total, _ = pinball_loss(quantiles, torch.tensor([torch.nan, 1.0]), torch.tensor(LEVELS))
    total.backward()
    assert quantiles.grad is not None
    assert quantiles.grad[0].tolist() == [0, 0, 0]
    assert quantiles.grad[1].tolist() == pytest.approx([-level for level in LEVELS])


def test_loss_is_taken_in_scaled_units_after_the_warm_up() -> None:
    """(target - location) / scale against the head's output, from the first row that has a scale."""
    module, rows = _module(), _rows()
    total, terms = module._advance(_segment(rows, 0, 12, [True, True]))
    state = initial_state(module.forecaster.state_init(), 2)
    quantiles, unit, _ = module.forecaster.scaled(torch.from_numpy(rows[..., None]), state)
    targets = np.stack([targets_of(lane, HORIZON) for lane in rows])
    assert unit is not None
    scaled = (targets - unit.location.numpy()) / unit.scale.numpy()
    scaled[:, : WARM_UP - 1] = np.nan
    expected = np.nansum(scores.pinball(scaled, quantiles.detach().numpy(), np.array(LEVELS)))
    assert total.item() == pytest.approx(expected, rel=1e-5)
    assert terms.item() == int((~np.isnan(scaled)).sum()) * len(LEVELS)


def test_state_is_carried_and_its_gradient_is_not() -> None:
    """Two segments leave the state that one long segment leaves, detached."""
    rows, split, whole = _rows(), _module(), _module()
    split._advance(_segment(rows, 0, 5, [True, True]))
    split._advance(_segment(rows, 5, 12, [False, False]))
    whole._advance(_segment(rows, 0, 12, [True, True]))
    for name, value in whole._carried.items():
        torch.testing.assert_close(split._carried[name], value)
        assert not value.requires_grad


def test_a_fresh_lane_forgets_and_its_neighbour_does_not() -> None:
    """Only lanes marked fresh start again from the initial state."""
    rows, mixed, fresh, carried = _rows(), _module(), _module(), _module()
    for module, second in ((mixed, [True, False]), (fresh, [True, True]), (carried, [False, False])):
        module._advance(_segment(rows, 0, 5, [True, True]))
        module._advance(_segment(rows, 5, 12, second))
    for name, value in mixed._carried.items():
        torch.testing.assert_close(value[0], fresh._carried[name][0])
        torch.testing.assert_close(value[1], carried._carried[name][1])
    assert not torch.equal(fresh._carried["hidden_0"], carried._carried["hidden_0"])


def test_dropping_spares_required_features() -> None:
    """Hidden observations are about the rate asked for, and never of a required feature."""
    x = torch.zeros(8, 500, 2, dtype=torch.float64)
    hidden = _module(missing_rate=0.25, required=(1,))._hide(x).isnan()
    assert 0.2 < hidden[..., 0].double().mean().item() < 0.3
    assert not hidden[..., 1].any()
    assert not x.isnan().any()
