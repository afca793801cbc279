"""Options of learning: clipping by value, teacher forcing, gates that start out keeping."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.forecaster import Architecture, Forecaster
from models.state import initial_state
from tests.unit.training.series_files import settings_for, wave, write_csv
from training.clipping import ClipValues
from training.dataset import read_dataset
from training.fit import build, fit
from training.module import ForecasterModule
from training.segments import Segment
from training.settings import SettingsError
from training.teacher_forcing import with_own_forecasts


def _roll_out() -> Forecaster:
    torch.manual_seed(0)
    return Forecaster(Architecture("gru", 1, 8, 1, 0.0, 3, (0.1, 0.5, 0.9), decoder="roll-out", num_paths=4))


def _rows() -> torch.Tensor:
    x = torch.from_numpy(np.stack([wave(40, seed=seed) for seed in range(3)])[..., None])
    x[1, 7] = torch.nan
    return x


def test_forced_rows_are_the_truth_and_others_the_forecast_before_them() -> None:
    """At ratio 0 every row but the first and the missing ones is the median forecast of the row before."""
    forecaster, x = _roll_out(), _rows()
    before = x.clone()
    state = initial_state(forecaster.state_init(), 3)
    assert torch.equal(with_own_forecasts(forecaster, x, state, 1.0).nan_to_num(), x.nan_to_num())
    mixed = with_own_forecasts(forecaster, x, state, 0.0)
    numbers, unit, _ = forecaster.scaled(x, state)
    assert unit is not None
    median = forecaster.head.answer(numbers, unit)[:, :-1, 0, 1].double()
    expected = torch.where(torch.isnan(x[:, 1:, 0]), torch.nan, median)
    torch.testing.assert_close(mixed[:, 1:, 0], expected, equal_nan=True)
    assert torch.equal(mixed[:, 0], x[:, 0])
    assert torch.equal(x.nan_to_num(), before.nan_to_num())
    torch.manual_seed(1)
    half = with_own_forecasts(forecaster, x, state, 0.5)
    assert 0.3 < float((half == x).double().mean()) < 0.7


def test_the_carried_state_has_seen_the_truth_alone() -> None:
    """Teacher forcing changes the loss of a training step and not the state that goes on from it."""
    x, states, losses = _rows(), [], []
    batch = Segment(
        x, torch.cat([x[:, 1:, 0], x[:, :1, 0]], dim=1)[..., None].expand(-1, -1, 3), torch.ones(3).bool()
    )
    for ratio in (1.0, 0.0):
        module = ForecasterModule(
            _roll_out(), learning_rate=1.0, missing_rate=0.0, required=(), seed=0, teacher_forcing=ratio
        ).train()
        loss, _ = module._advance(batch)
        losses.append(float(loss.detach()))
        states.append(module._carried)
    assert losses[0] != losses[1]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_teacher_forcing_is_of_roll_outs(tmp_path: Path) -> None:
    """A decoder that reads no forecasts refuses the option."""
    with pytest.raises(SettingsError, match="teacher_forcing: expected 1 for decoder direct"):
        settings_for(tmp_path / "data.csv", teacher_forcing=0.5)


def test_every_number_of_a_gradient_is_cut() -> None:
    """None is larger than the limit afterwards, smaller ones stay, and those that are missing do no harm."""
    module = ForecasterModule(_roll_out(), learning_rate=1.0, missing_rate=0.0, required=(), seed=0)
    one, *_ = module.parameters()
    one.grad = torch.linspace(-2, 2, one.numel()).reshape(one.shape)
    expected = one.grad.clamp(-0.5, 0.5)
    ClipValues(0.5).on_before_optimizer_step(None, module, None)  # type: ignore[arg-type]
    assert torch.equal(one.grad, expected)


@pytest.mark.parametrize(
    "options",
    [{"gradient_clip_value": 1e-9}, {"decoder": "roll-out", "sample_paths": 4, "teacher_forcing": 0.5}],
)
def test_an_option_changes_what_is_learned(options: dict[str, Any], tmp_path: Path) -> None:
    """A run with the option ends with other weights than one without it; both end with numbers."""
    data = write_csv(tmp_path / "data.csv", num_rows=120)
    base = {key: value for key, value in options.items() if key in ("decoder", "sample_paths")}
    fitted = []
    for given in (base, options):
        settings = settings_for(data, max_epochs=1, **given)
        fitted.append(fit(settings, read_dataset(settings)).state_dict())
    assert any(not torch.equal(one, fitted[1][name]) for name, one in fitted[0].items())
    assert all(torch.isfinite(value).all() for value in fitted[1].values())


def test_memory_steps_spread_over_the_units(tmp_path: Path) -> None:
    """Biases of an LSTM's forget gate lie between log 1 and log(steps - 1), the input gate's are opposite."""
    settings = settings_for(tmp_path / "data.csv", memory_steps=50, hidden_size=32)
    torch.manual_seed(0)
    forecaster = build(settings, 1)
    i, f, *_ = forecaster.cell.layers[0].bias_ih_l0.detach().chunk(4)
    assert torch.equal(i, -f)
    assert 0 <= float(f.min()) < 2 < float(f.max()) <= math.log(49)
    with pytest.raises(SettingsError, match="memory_steps"):
        build(settings_for(tmp_path / "data.csv", memory_steps=50, cell="elman"), 1)
