"""What is said of a network's gradients, gates and memory."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.cells import CELLS
from models.forecaster import Architecture, Forecaster
from tests.unit.training.series_files import settings_for, wave, write_csv
from training.dataset import Dataset, SeriesData
from training.diagnosis.anatomy import ANATOMIES, layers_of
from training.diagnosis.gates import gate_histograms
from training.diagnosis.gradient import Gradient, gradient_through_time
from training.diagnosis.memory import effective_memory
from training.diagnosis.report import as_json, diagnose
from training.diagnosis.spectrum import spectral_radii
from training.diagnosis.subjects import diagnose_fresh, diagnose_run
from training.diagnosis.windows import Windows, calls_along, warmed_up, windows_of
from training.errors import DataError
from training.memory_start import remember_for
from training.read import read
from training.settings import SettingsError
from training.train import train

GATED = ["lstm", "lstm-reference", "peephole", "gru", "min-lstm", "min-gru", "slstm"]
UNGATED = ["elman", "elman-relu", "jordan"]


def _fresh(cell: str, num_layers: int = 1, hidden_size: int = 16) -> Forecaster:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        look_ahead = 2 if CELLS[cell].looks_ahead else 0
        architecture = Architecture(cell, 1, hidden_size, num_layers, 0.0, 3, (0.1, 0.5, 0.9))
        return Forecaster(replace(architecture, look_ahead=look_ahead)).eval()


def _windows(steps: int = 100, num_rows: int = 400) -> Windows:
    times = np.datetime64("2024-01-01T00", "us") + np.arange(num_rows) * np.timedelta64(1, "h")
    one = SeriesData("a", times, wave(num_rows)[:, None], num_rows - 10)
    return windows_of(Dataset(("y",), (one,)), settings_for(Path("unread.csv")), steps)


def test_the_gradient_of_elman_dies_where_that_of_an_lstm_does_not() -> None:
    """Over 100 steps a millionth of Elman's is not left; of an LSTM that starts to keep, a hundredth is."""
    elman = gradient_through_time(_fresh("elman"), _windows())
    lstm = _fresh("lstm")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        remember_for(lstm.cell, 100)
    kept = gradient_through_time(lstm, _windows())
    assert elman.steps == kept.steps == 100
    assert elman.relative[100] < 1e-6
    assert (elman.verdict, kept.verdict) == ("vanishing", "reaches back")
    assert elman.reach < 100 == kept.reach
    assert kept.relative[100] > 1e-2


def test_recurrent_weights_above_one_explode() -> None:
    """An Elman network with ReLU whose recurrent weights double what they carry is called exploding."""
    forecaster = _fresh("elman-relu")
    with torch.no_grad():
        weight = forecaster.cell.layers[0].weight_hh_l0
        weight.copy_(2 * torch.eye(len(weight)))
    found = diagnose("doubling", forecaster, _windows(30))
    assert found.gradient.verdict == "exploding"
    assert found.gradient.factor == pytest.approx(2.0, rel=0.1)
    assert found.radii[0].radius == pytest.approx(2.0)
    assert any("--gradient-clip" in sentence and "2.00" in sentence for sentence in found.advice)


def test_the_gradient_is_that_of_a_difference() -> None:
    """The norm one step back is what moving that state changes the loss by, along the gradient."""
    forecaster, windows = _fresh("gru"), _windows(1)
    found = gradient_through_time(forecaster, windows)

    def loss(moved: torch.Tensor) -> torch.Tensor:
        state = warmed_up(forecaster, windows)
        rows = windows.x[:, windows.num_warm_up :]
        _, _, state = forecaster.scaled(rows[:, :1], state)
        state["hidden_0"] = state["hidden_0"].detach() + moved
        numbers, unit, _ = forecaster.scaled(rows[:, 1:], state)
        total, terms = forecaster.head.loss(numbers, windows.targets, unit)
        return total / terms

    zero = torch.zeros(len(windows.x), 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(zero), zero)
    assert found.norms[1] == pytest.approx(float(gradient.norm(dim=1).mean()))
    step = 1e-2 * gradient / gradient.norm()
    slope = (loss(step) - loss(-step)) / 2e-2
    assert float(slope.detach()) == pytest.approx(float(gradient.norm()), rel=1e-2)


@pytest.mark.parametrize("cell", GATED)
def test_gates_and_keep_are_those_that_the_layer_computes(cell: str) -> None:
    """Of a layer's next memory, what grows with the memory before is `keep`: found by differentiation."""
    forecaster, windows = _fresh(cell), _windows(5)
    ((_, calls),) = calls_along(forecaster, windows).items()
    call = calls[0]
    assert call.anatomy.open is not None
    opened = call.anatomy.open(call.layer, call.x, call.states)
    assert opened.keep.shape == (call.x.shape[0], call.x.shape[1], 16)
    assert all(((gate >= 0) & (gate <= 1)).all() for gate in opened.gates.values())
    # Without recurrent weights the memory's own path is the only one.
    with torch.no_grad():
        for name, parameter in call.layer.named_parameters():
            if any(part in name for part in ("weight_hh", "recurrence", "peephole")):
                parameter.zero_()
            if cell == "lstm-reference" and name.endswith("weight"):
                parameter[:, :16] = 0
    first = call.anatomy.open(call.layer, call.x[:1], call.states).keep[0]
    memory = 1 if len(call.states) > 1 else 0
    states = [state.clone().requires_grad_() for state in call.states]
    if cell in ("lstm", "gru"):
        shaped = [state.unsqueeze(0) for state in states]
        _, after = call.layer(call.x[:1], tuple(shaped) if cell == "lstm" else shaped[0])
        after = [state.squeeze(0) for state in (after if cell == "lstm" else [after])]
    else:
        _, after = call.layer(call.x[:1], *states)
    value = after[1] / after[2] if cell == "slstm" else after[memory]
    (slope,) = torch.autograd.grad(value.sum(), states[memory])
    if cell == "slstm":  # of c / n, by c / n before
        slope = slope * call.states[2]
    torch.testing.assert_close(first, slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("cell", GATED)
def test_gates_that_start_to_keep_keep_as_long(cell: str) -> None:
    """With memory_steps the longest memory is of that order, and without it a few rows."""
    before = effective_memory(_fresh(cell), _windows())[0].longest
    forecaster = _fresh(cell)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        remember_for(forecaster.cell, 200)
    assert before < 20
    assert 60 < effective_memory(forecaster, _windows())[0].longest < 2_000


@pytest.mark.parametrize("cell", UNGATED)
def test_a_cell_without_gates_says_so(cell: str) -> None:
    """It has no histograms and no memory of a gate, and memory_steps is refused."""
    forecaster = _fresh(cell)
    assert gate_histograms(forecaster, _windows(5)) == []
    assert effective_memory(forecaster, _windows(5)) == []
    with pytest.raises(SettingsError, match="memory_steps"):
        remember_for(forecaster.cell, 100)


def test_every_cell_is_known() -> None:
    """No cell is left without a gradient, a name for each layer, and its recurrent weights."""
    for cell in CELLS:
        forecaster = _fresh(cell, num_layers=2)
        assert len(layers_of(forecaster.cell)) >= 2, cell
        assert gradient_through_time(forecaster, _windows(5, 100)).norms[0] > 0, cell
        assert cell.startswith("min-") or spectral_radii(forecaster), cell
    assert ANATOMIES


def test_the_spectral_radius_is_the_largest_eigenvalue() -> None:
    """Of a triangular matrix, the largest number of its diagonal."""
    forecaster = _fresh("elman")
    with torch.no_grad():
        weight = forecaster.cell.layers[0].weight_hh_l0
        weight.copy_(torch.triu(weight, 1) + torch.diag(torch.linspace(-0.7, 0.3, 16)))
    assert spectral_radii(forecaster)[0].radius == pytest.approx(0.7, rel=1e-4)


def test_histograms_hold_every_value() -> None:
    """The shares of each gate sum to one and their bins' mean is the gate's."""
    for gate in gate_histograms(_fresh("lstm", num_layers=2), _windows(20)):
        middles = (np.arange(20) + 0.5) / 20
        assert sum(gate.shares) == pytest.approx(1)
        assert np.dot(gate.shares, middles) == pytest.approx(gate.mean, abs=0.03)


def test_windows_of_short_series_are_shorter() -> None:
    """Where series are shorter than the warm-up and the steps, fewer steps are looked back."""
    windows = _windows(100, num_rows=60)
    assert windows.x.shape[1] == windows.num_warm_up + windows.steps + 1 <= 59
    assert windows.steps > 20
    with pytest.raises(DataError, match="two rows"):
        _windows(100, num_rows=1)


@pytest.mark.parametrize(
    ("norms", "verdict", "reach"),
    [
        ((1.0, 0.1, 0.01), "reaches back", 2),
        ((1.0, 1e-3, 1e-7), "vanishing", 1),
        ((1.0, 1e2, 1e4), "exploding", 2),
        ((1.0, float("inf"), float("nan")), "exploding", 1),
        ((0.0, 0.0), "vanishing", -1),
    ],
)
def test_verdicts(norms: tuple[float, ...], verdict: str, reach: int) -> None:
    """Below a millionth it has vanished; a thousandfold or no number has exploded."""
    gradient = Gradient(norms, ())
    assert (gradient.verdict, gradient.reach) == (verdict, reach)


def test_a_run_is_diagnosed_from_its_work_directory(tmp_path: Path) -> None:
    """Its best weights on the file it was trained on, without being told which; another file is refused."""
    data = write_csv(tmp_path / "data.csv", num_rows=120)
    work_dir = tmp_path / "run"
    settings = settings_for(data, work_dir=work_dir, max_epochs=1, cell="gru", memory_steps=40)
    published = train(settings)
    found = diagnose_run(work_dir, steps=20)
    weights = torch.load(work_dir / "best.ckpt", weights_only=True)["state_dict"]
    forecaster = Forecaster(Architecture("gru", 1, 8, 1, 0.0, 3, (0.1, 0.5, 0.9)))
    forecaster.load_state_dict({key.removeprefix("forecaster."): value for key, value in weights.items()})
    again = gradient_through_time(forecaster.eval(), windows_of(read(settings), settings, 20))
    assert found.gradient.norms == pytest.approx(again.norms)
    assert json.loads(json.dumps(as_json([found])))[0]["gradient"]["steps"] == 20
    wider = write_csv(tmp_path / "wider.csv", num_rows=120, covariate=True)
    with pytest.raises(SettingsError, match=r"wider\.csv"):
        diagnose_run(work_dir, steps=20, data=wider)
    with pytest.raises(SettingsError, match="published model"):
        diagnose_run(published.path.parent.parent, steps=20)


def test_fresh_cells_differ_by_cell_alone(tmp_path: Path) -> None:
    """The same seed gives the same figures, and a cell's do not depend on which others are asked for."""
    data = write_csv(tmp_path / "data.csv", num_rows=120)
    options = {"steps": 10, "hidden_size": 8, "num_layers": 1, "seed": 3}
    both = diagnose_fresh(["elman", "gru"], data, memory_steps=None, **options)
    (alone,) = diagnose_fresh(["gru"], data, memory_steps=None, **options)
    assert both[1].gradient.norms == alone.gradient.norms
    keeping = diagnose_fresh(["elman", "gru"], data, memory_steps=50, **options)
    assert keeping[0].gradient.norms == both[0].gradient.norms
    assert keeping[1].memory[0].median > 2 * both[1].memory[0].median
