"""Rows of a roll-out's training in which some values are the forecaster's own."""

import torch
from torch import Tensor

from models.forecaster import Forecaster
from models.heads import RegressionHead
from models.heads.deviates import Floats
from models.state import State


def with_own_forecasts(forecaster: Forecaster, x: Tensor, state: State, ratio: float) -> Tensor:
    """A copy of rows x (B, T, F) whose targets are true with probability `ratio`, else forecast medians.

    A roll-out reads its own forecasts when it is served, and only the truth when it is trained; it
    meets its own errors in training where some rows hold them (scheduled sampling, Bengio et al. 2015).
    All forecasts are made from true rows in one pass, so that a segment is not walked row by row
    (parallel scheduled sampling, Duckworth et al. 2019). Missing values stay missing; neither `x`
    nor `state` is changed, and no gradient goes through the forecasts.
    """
    head = forecaster.head
    assert isinstance(head, RegressionHead)
    with torch.no_grad():
        numbers, unit, _ = forecaster.scaled(x, state)
        assert unit is not None
        median: Floats = torch.full((1,), 0.5, dtype=torch.float64).numpy()
        own = head.at(numbers, head.points(median).to(x.device), unit)[:, :-1, 0, 0].to(x.dtype)
        forced = torch.rand(own.shape, device=x.device) < ratio
        true = x[:, 1:, 0]
        mixed = x.clone()
        mixed[:, 1:, 0] = torch.where(forced | torch.isnan(true) | torch.isnan(own), true, own)
    return mixed
