"""What the stabiliser of an sLSTM is for."""

from typing import cast

import numpy as np
import torch

from models.cells.scanned import log_sigmoid
from models.cells.slstm import SLSTMLayer
from models.state import initial_state
from tests.unit.models.cell_oracles import sigmoid
from tests.unit.models.test_cells import BATCH, HIDDEN, TIME, TOLERANCE, make, rows


def test_the_stabiliser_changes_no_output() -> None:
    """h is that of the plain exponential gates, c and n summed without m (Beck et al. 2024, equation 8)."""
    cell = make("slstm", num_layers=1)
    w = {name: value.numpy().astype(np.float64) for name, value in cell.layers[0].state_dict().items()}
    c, n, h = np.zeros((3, BATCH, HIDDEN))
    with torch.inference_mode():
        y, _ = cell.sequence(rows(), initial_state(cell.state_init(), BATCH))
    for t in range(TIME):
        sums = rows()[:, t].numpy() @ w["input.weight"].T + w["input.bias"] + h @ w["recurrence.weight"].T
        i, f, z, o = np.split(sums, 4, axis=-1)
        c, n = sigmoid(f) * c + np.exp(i) * np.tanh(z), sigmoid(f) * n + np.exp(i)
        h = sigmoid(o) * c / n
        np.testing.assert_allclose(y[:, t], h, rtol=TOLERANCE, atol=TOLERANCE)


def test_input_gates_beyond_the_range_of_float32_are_weighed() -> None:
    """Where exp(i) would be infinite or zero, the row that weighs more still wins, and n is at least 1."""
    layer = cast(SLSTMLayer, make("slstm", num_layers=1).layers[0])
    state = [value.expand(1, -1) for value in _empty()]
    for i, z in ((-200.0, 1.0), (300.0, -1.0), (-300.0, 1.0)):
        sums = torch.tensor([i, 2.0, z, 50.0]).repeat_interleave(HIDDEN)[None]
        with torch.no_grad():
            layer.recurrence.weight.zero_()
            state = list(layer.step((sums,), *state))
        assert (state[2] >= 1.0).all()
        expected = np.tanh(1.0) if i == -200.0 else -np.tanh(1.0)
        np.testing.assert_allclose(state[0], expected, rtol=1e-5)


def _empty() -> list[torch.Tensor]:
    """h, c, n and m of an empty memory, (H,) each."""
    cell = make("slstm", num_layers=1)
    return [value[0] for value in initial_state(cell.state_init(), 1).values()]


def test_the_logarithm_of_a_gate_is_finite() -> None:
    """log_sigmoid is torch's, far below where a sigmoid is zero in float32 too."""
    x = torch.tensor([-1e4, -200.0, -90.0, -1.0, 0.0, 1.0, 30.0, 1e4])
    torch.testing.assert_close(log_sigmoid(x), torch.nn.functional.logsigmoid(x))
