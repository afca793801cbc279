"""The running scaler, against what it means written plainly, row by row."""

import numpy as np
import pytest
import torch

from models.scaling import RunningScaler
from models.state import initial_state

CLIP = 20.0


def _plainly(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs (T, 2 F + 1), location (T,) and scale (T,) of one series (T, F), from all rows up to each."""
    inputs, locations, scales = [], [], []
    for t in range(len(x)):
        seen = [column[~np.isnan(column)] for column in x[: t + 1].T]
        standard = []
        for values in seen:
            deviation = values.std() if len(values) else 0.0
            standard.append((values[-1] - values.mean()) / deviation if deviation > 0 else 0.0)
        marks = ~np.isnan(x[t])
        changes = np.diff(seen[0])
        location = seen[0][-1] if len(seen[0]) else 0.0
        level = abs(location) if location != 0 else 1.0
        scale = np.abs(changes).mean() if changes.any() else level
        change = changes[-1] / scale if marks[0] and len(changes) else 0.0
        inputs.append(np.clip([*standard, *marks, change], -CLIP, CLIP))
        locations.append(location)
        scales.append(scale)
    return np.array(inputs), np.array(locations), np.array(scales)


def _walk(num_features: int) -> np.ndarray:
    random = np.random.default_rng(num_features)
    x = 1e3 + random.normal(size=(40, num_features)).cumsum(axis=0)
    x[random.random(x.shape) < 0.3] = np.nan
    x[:3, 0] = np.nan
    return x


def _column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


@pytest.mark.parametrize(
    "x",
    [
        _walk(1),
        _walk(3),
        _column(*[np.nan] * 4),
        _column(0.0, 0.0, np.nan, 0.0, 2.0),
        _column(-7.0, -7.0, -7.0, -8.0),
        _column(np.nan, 5.0, np.nan, 5.0, 6.0, 5.0),
        _column(*[1e9] * 600, 1e9 + 1),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_rows_are_scaled_by_what_was_seen(x: np.ndarray, whole: bool) -> None:
    """Means, deviations, the last value and the mean absolute change of the rows so far, and no others."""
    scaler = RunningScaler(x.shape[1])
    state = initial_state(scaler.state_init(), 1)
    found = []
    for chunk in [x] if whole else x[:, None]:
        scaled, state = scaler(torch.from_numpy(chunk[None].copy()), state)
        found.append(scaled)
        unit = scaler.unit(state)
    inputs, location, scale = _plainly(x)
    np.testing.assert_allclose(torch.cat([s.inputs[0] for s in found]), inputs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(torch.cat([s.location[0, :, 0] for s in found]), location)
    np.testing.assert_allclose(torch.cat([s.scale[0, :, 0] for s in found]), scale)
    np.testing.assert_allclose([unit.location.item(), unit.scale.item()], [location[-1], scale[-1]])
    mean = np.nanmean(x[:, 0]) if (~np.isnan(x[:, 0])).any() else 0.0
    np.testing.assert_allclose([unit.mean.item(), scaled.mean[0, -1].item()], [mean, mean], atol=1e-6)
    assert scaler.num_observed(state).item() == (~np.isnan(x[:, 0])).sum()
