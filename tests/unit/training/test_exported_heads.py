"""Heads, tasks and decoders as ONNX Runtime computes them."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from models.state import initial_state
from tests.task_models import CASES, exported, forecaster_of
from training.parity import check_parity


@pytest.mark.parametrize("case", CASES)
def test_graph_computes_what_torch_does(case: str) -> None:
    """Whole, row by row and in chunks, with missing values, and in the read-out."""
    forecaster, model = exported(case)
    onnx.checker.check_model(model, full_check=True)
    check_parity(model.SerializeToString(), forecaster)
    num_operators = Counter(node.op_type for node in model.graph.node)
    rolled = forecaster.architecture.decoder == "roll-out"
    # A roll-out is one for the forecast and one for the read-out; a watch one for the calibration's offsets
    # and four for the score's running means, each of which needs those before it.
    assert num_operators["Scan"] == (2 if rolled else 5 if case == "watched" else 0)
    assert num_operators["GRU"] == {"next-symbol": 1, "binary-decoded": 2}.get(case, 0)


def test_probabilities_sum_to_one_whatever_comes() -> None:
    """Missing symbols and indices out of range are read as a symbol of their own."""
    forecaster = forecaster_of(**CASES["next-symbol"])
    x = torch.tensor([[[0.0], [2.0], [torch.nan], [7.0], [-1.0]]], dtype=torch.float64)
    with torch.inference_mode():
        forecast, _ = forecaster(x, initial_state(forecaster.state_init(), 1))
        missing, _ = forecaster(x * torch.nan, initial_state(forecaster.state_init(), 1))
    torch.testing.assert_close(forecast.sum(dim=-1), torch.ones(1, 5, 1))
    assert not torch.allclose(forecast[0, 0], missing[0, 0])
    unknown, _ = forecaster(torch.full_like(x[:, :1], 9.0), initial_state(forecaster.state_init(), 1))
    torch.testing.assert_close(unknown[0, 0], missing[0, 0])


def _rows(num: int = 30) -> torch.Tensor:
    steps = np.random.default_rng(0).normal(size=(1, num, 1))
    return torch.from_numpy(50 + steps.cumsum(axis=1))


def test_one_path_of_medians_is_a_session_fed_with_its_own_medians() -> None:
    """A roll-out is what a caller gets who sends each median back as the next row; the state stays."""
    forecaster = forecaster_of(**CASES["quantile-median"])
    with torch.inference_mode():
        forecast, state = forecaster(_rows(), initial_state(forecaster.state_init(), 1))
        kept = {name: value.clone() for name, value in state.items()}
        for step in range(3):
            next_step = forecaster.read_out(state)[:, 0]
            torch.testing.assert_close(next_step, forecast[:, -1, step])
            state = forecaster.advance(next_step[:, None, 1:2].double(), state)
        forecaster.read_out(kept)
    again = forecaster(_rows(), initial_state(forecaster.state_init(), 1))[1]
    for name, value in kept.items():
        torch.testing.assert_close(value, again[name])


def test_paths_spread_as_the_distribution_does() -> None:
    """The first step's quantiles over many paths are near the head's own, and later ones spread further."""
    options = {"head": "gaussian", "decoder": "roll-out", "num_features": 1, "horizon": 6}
    many = forecaster_of(**options, num_paths=512)
    with torch.inference_mode():
        forecast, state = many(_rows(12), initial_state(many.state_init(), 1))
        hidden = many.cell.output(state)
        own = many.head.answer(many.head(hidden), many.unit(state, hidden))[0, 0]
    spread = (forecast[0, -1, :, 2] - forecast[0, -1, :, 0]).numpy()
    np.testing.assert_allclose(forecast[0, -1, 0], own, atol=0.02 * float(own[2] - own[0]))
    assert spread[-1] > 1.3 * spread[0]
    assert (np.diff(forecast.numpy(), axis=-1) > 0).all()


def test_replies_of_sample_paths_do_not_vary() -> None:
    """The draws are constants of the graph: the same rows give the same forecast, in any batch."""
    forecaster, model = exported("gaussian-paths")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    rows = np.repeat(_rows(6).numpy(), 3, axis=0) * np.array([1.0, 3.0, 1.0])[:, None, None]
    rows = np.concatenate([rows, np.ones_like(rows)], axis=2)
    state = {n: v.numpy() for n, v in initial_state(forecaster.state_init(), 3).items()}
    first, second = (session.run(["forecast"], {"x": rows, **state})[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first[0], first[2], rtol=1e-6)
    assert not np.allclose(first[0], first[1])
