"""Several forecasters in one graph."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.ensemble import Ensemble
from models.forecaster import Architecture, Forecaster
from models.state import initial_state
from training.export import to_onnx
from training.parity import check_parity

_LEAN = Architecture("gru", 1, 6, 1, 0.0, 3, (0.1, 0.5, 0.9), seasons=(2,), window=4, maps_window=True)


def _members(architecture=_LEAN, num=3):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = [Forecaster(architecture).eval() for _ in range(num)]
        with torch.no_grad():
            for member in made:
                for parameter in member.parameters():
                    parameter.add_(0.2 * torch.randn_like(parameter))
    return made


def _rows():
    return torch.from_numpy(50.0 + np.random.default_rng(0).normal(size=(2, 9, 1)).cumsum(axis=1))


def test_forecasts_are_the_means_of_the_members():
    """Of the rows and of the read-out; the states are the members' own, the window is kept once."""
    members = _members()
    ensemble, x = Ensemble(members).eval(), _rows()
    with torch.inference_mode():
        forecast, after = ensemble(x, initial_state(ensemble.state_init(), 2))
        alone = [member(x, initial_state(member.state_init(), 2)) for member in members]
        torch.testing.assert_close(forecast, torch.stack([one for one, _ in alone]).mean(dim=0))
        read = torch.stack(
            [member.read_out(state) for member, (_, state) in zip(members, alone, strict=True)]
        )
        torch.testing.assert_close(ensemble.read_out(after), read.mean(dim=0))
    assert sum(name == "window" for name in after) == 1
    assert not torch.equal(after["member0_hidden_0"], after["member1_hidden_0"])


@pytest.mark.parametrize("watched", [False, True])
def test_the_exported_graph_computes_the_ensemble(watched):
    """Whole, row by row and in chunks; where it is watched, the mean is, once."""
    ensemble = Ensemble(_members(num=2), calibrate=watched, anomaly=watched).eval()
    model = to_onnx(ensemble)
    check_parity(model.SerializeToString(), ensemble)
    names = [one.name for one in model.graph.input]
    assert ("calibration_offset" in names) == watched
    assert sum(name.endswith("hidden_0") for name in names) == 2


def test_labels_are_averaged_as_probabilities():
    """Of a classifier there is no point that forecasts are near."""
    labels = replace(
        _LEAN, seasons=(), window=0, task="binary", head="binary", labels=("no", "yes"), quantile_levels=()
    )
    ensemble, x = Ensemble(_members(labels)).eval(), _rows()
    with torch.inference_mode():
        forecast, _ = ensemble(x, initial_state(ensemble.state_init(), 2))
    torch.testing.assert_close(forecast.sum(dim=-1), torch.ones(2, 9, 3))
