"""What is known of the steps to come moves the forecasts of counts too."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.forecaster import Forecaster
from models.state import initial_state
from tests.task_models import forecaster_of, graph_of
from training.parity import check_parity

HORIZON = 3
COUNTS: dict[str, Any] = {
    "head": "negative-binomial", "num_features": 2, "future": (1,), "horizon": HORIZON,
}  # fmt: skip
WATCHED: dict[str, Any] = {**COUNTS, "calibrate": True, "anomaly": True}


def _rows(num_series: int, num_rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Rows (B, T, width) of two sales a day, ten on days that are known ahead to be special; the targets
    (B, T, K), NaN after the end.
    """
    random = np.random.default_rng(seed)
    special = (random.random((num_series, num_rows + HORIZON)) < 0.3).astype(float)
    sales = random.poisson(2 + 8 * special).astype(float)
    ahead = [np.stack([of[:, step : step + num_rows] for step in range(1, HORIZON + 1)], -1)
             for of in (special, sales)]  # fmt: skip
    now = np.stack([sales[:, :num_rows], special[:, :num_rows]], axis=-1)
    return torch.from_numpy(np.concatenate([now, ahead[0]], axis=-1)), torch.from_numpy(ahead[1])


def _forecast(forecaster: Forecaster, rows: Tensor) -> Tensor:
    with torch.inference_mode():
        forecast, _ = forecaster.forward(rows, initial_state(forecaster.state_init(), len(rows)))
    return forecast


def test_a_step_ahead_moves_its_own_forecast() -> None:
    """Another value for the second step changes that step's quantiles, and no other step's."""
    forecaster = forecaster_of(**WATCHED)
    rows, _ = _rows(2, 6)
    other = rows.clone()
    other[:, -1, -2] += 1.0
    before, after = (_forecast(forecaster, of)[:, -1] for of in (rows, other))
    changed = (before != after).any(dim=-1)
    assert changed.tolist() == [[False, True, False]] * 2


def test_special_days_are_learned() -> None:
    """After some steps of training, days that are known to sell five times as much are forecast so."""
    forecaster = forecaster_of(**COUNTS)
    rows, targets = _rows(32, 40)
    optimizer = torch.optim.Adam(forecaster.parameters(), lr=0.02)
    for _ in range(80):
        numbers, unit, _ = forecaster.scaled(rows, initial_state(forecaster.state_init(), len(rows)))
        loss, num = forecaster.head.loss(numbers, targets, unit)
        optimizer.zero_grad()
        torch.autograd.backward(loss / num)
        optimizer.step()
    known, _ = _rows(64, 30, seed=1)
    median = _forecast(forecaster.eval(), known)[:, -1, :, 1]
    special = known[:, -1, -HORIZON:] > 0
    assert median[special].mean() > 3 * median[~special].mean()
    assert median[~special].mean() < 4


def test_the_exported_graph_does_the_same() -> None:
    """Its forecasts are those of torch."""
    forecaster, graph = graph_of(forecaster_of(**COUNTS).architecture)
    check_parity(graph.SerializeToString(), forecaster)
