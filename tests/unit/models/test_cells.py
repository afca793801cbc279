"""The cells against their equations."""

import numpy as np
import pytest
import torch

from models.cells import CELLS
from models.cells.stack import Stack
from models.state import State, initial_state
from tests import model_files
from tests.unit.models.cell_oracles import ORACLES, Array

INPUTS, HIDDEN, LAYERS = 3, 5, 2
BATCH, TIME = 4, 12
# float32 against float64 over a dozen rows: some 1e-7 a row.
TOLERANCE = 5e-6
ALL = pytest.mark.parametrize("cell", CELLS)


def make(cell: str, residual: bool = False, dropout: float = 0.0, num_layers: int = LAYERS) -> Stack:
    """A cell whose every weight matters: none is left at zero."""
    torch.manual_seed(0)
    made = CELLS[cell](INPUTS, HIDDEN, num_layers, dropout, residual, model_files.look_ahead(cell))
    assert isinstance(made, Stack)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made.eval()


def rows() -> torch.Tensor:
    return 2.0 * torch.randn(BATCH, TIME, INPUTS, generator=torch.Generator().manual_seed(1))


def some_state(cell: Stack) -> State:
    """What a stream may have come to after a few rows."""
    with torch.inference_mode():
        return cell.sequence(rows().flip(1), initial_state(cell.state_init(), BATCH))[1]


def by_oracle(name: str, cell: Stack, x: Array, state: State) -> tuple[Array, dict[str, Array]]:
    """Outputs (B, T, H) and final states, by name, of the numpy equations with the cell's weights."""
    y, after = x.astype(np.float64), {}
    for number, layer in enumerate(cell.layers):
        weights = {key: value.numpy().astype(np.float64) for key, value in layer.state_dict().items()}
        weights["residual"] = np.array(getattr(layer, "residual", False))
        states = {key: state[f"{key}_{number}"].numpy().astype(np.float64) for key in cell.layer_states}
        outputs = []
        for t in range(y.shape[1]):
            states = ORACLES[name](weights, y[:, t], states)
            outputs.append(states[next(iter(cell.layer_states))])
        below, y = y, np.stack(outputs, axis=1)
        y = y + below if number and cell.residual else y
        after |= {f"{key}_{number}": states[key] for key in cell.layer_states}
    return y, after


@ALL
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("begins", ["fresh", "carried"])
def test_a_cell_computes_its_equations(cell: str, residual: bool, begins: str) -> None:
    """Outputs and every state of two layers are those of the numpy equations, from any state."""
    made = make(cell, residual)
    state = some_state(made) if begins == "carried" else initial_state(made.state_init(), BATCH)
    with torch.inference_mode():
        y, after = made.sequence(rows(), state)
    expected, expected_after = by_oracle(cell, made, rows().numpy(), state)
    np.testing.assert_allclose(y.numpy(), expected, rtol=TOLERANCE, atol=TOLERANCE)
    assert after.keys() == made.state_init().keys() == expected_after.keys()
    for name, value in expected_after.items():
        np.testing.assert_allclose(after[name], value, rtol=TOLERANCE, atol=TOLERANCE, err_msg=name)


@ALL
@pytest.mark.parametrize("residual", [False, True])
def test_the_state_tells_the_last_output(cell: str, residual: bool) -> None:
    """What the read-out takes from the state alone is the top layer's output after the last row."""
    made = make(cell, residual)
    with torch.inference_mode():
        y, after = made.sequence(rows(), some_state(made))
        torch.testing.assert_close(made.output(after), y[:, -1])


@ALL
def test_residual_connections_change_what_two_layers_say_and_not_one(cell: str) -> None:
    """The option adds the input of every layer but the first, whose input has another size."""
    for num_layers, differs in ((1, False), (2, True)):
        plain, residual = (make(cell, option, num_layers=num_layers) for option in (False, True))
        with torch.inference_mode():
            state = initial_state(plain.state_init(), BATCH)
            outputs = [made.sequence(rows(), state)[0] for made in (plain, residual)]
        assert torch.equal(*outputs) != differs


@ALL
def test_dropout_is_between_layers_and_in_training_alone(cell: str) -> None:
    """Evaluation drops nothing, nor does a single layer; two layers in training do."""
    for num_layers, training, differs in ((2, False, False), (1, True, False), (2, True, True)):
        made = make(cell, dropout=0.5, num_layers=num_layers).train(training)
        state = initial_state(made.state_init(), BATCH)
        with torch.no_grad():
            first, second = (made.sequence(rows(), state)[0] for _ in range(2))
        assert torch.equal(first, second) != differs


@ALL
def test_a_cell_learns_from_every_weight(cell: str) -> None:
    """The loss reaches every parameter through a chunk, and no gradient is infinite or not a number."""
    made = make(cell, residual=True).train()
    made.sequence(rows(), initial_state(made.state_init(), BATCH))[0].square().sum().backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


@ALL
def test_extreme_rows_leave_everything_finite(cell: str) -> None:
    """Rows as far out as the scaler lets them be, on weights that saturate every gate, give numbers."""
    made = make(cell)
    with torch.no_grad():
        # Not the ReLU's own past: with weights of that size nothing bounds it.
        for name, parameter in made.named_parameters():
            if not (cell == "elman-relu" and "weight_hh" in name):
                parameter.mul_(20.0)
    x = 20.0 * torch.sign(rows())
    with torch.inference_mode():
        y, after = made.sequence(x, initial_state(made.state_init(), BATCH))
    assert y.isfinite().all()
    assert all(value.isfinite().all() for value in after.values())
