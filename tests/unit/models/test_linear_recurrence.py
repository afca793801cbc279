"""All rows at once against a row at a time."""

from typing import cast

import pytest
import torch

from models.cells.linear_recurrence import LinearLayer, all_at_once
from models.cells.scanned import ScannedLayer
from tests.unit.models.test_cells import HIDDEN, INPUTS, make


@pytest.mark.parametrize("num_rows", [1, 2, 3, 4, 5, 8, 17, 64, 100])
def test_the_parallel_prefix_is_the_recurrence(num_rows: int) -> None:
    """For any number of rows h_t = keep_t h_{t-1} + add_t, and so are its gradients."""
    random = torch.Generator().manual_seed(num_rows)
    keep, add = torch.rand(2, num_rows, 3, 4, generator=random, dtype=torch.float64)
    state = torch.randn(3, 4, generator=random, dtype=torch.float64)
    values = [value.requires_grad_() for value in (keep, add, state)]
    stepwise, h = [], state
    for k, a in zip(keep, add, strict=True):
        h = k * h + a
        stepwise.append(h)
    at_once, expected = all_at_once(keep, add, state), torch.stack(stepwise)
    torch.testing.assert_close(at_once, expected)
    weight = torch.randn(expected.shape, generator=random, dtype=torch.float64)
    found = torch.autograd.grad((at_once * weight).sum(), values)
    for gradient, other in zip(found, torch.autograd.grad((expected * weight).sum(), values), strict=True):
        torch.testing.assert_close(gradient, other)


@pytest.mark.parametrize("cell", ["min-lstm", "min-gru"])
def test_a_layer_trained_at_once_is_the_one_that_streams(cell: str) -> None:
    """The pass over a whole chunk gives what the exported step gives, row after row."""
    layer = cast(LinearLayer, make(cell).layers[0])
    x, h = torch.randn(37, 2, INPUTS), torch.randn(2, HIDDEN)
    with torch.inference_mode():
        at_once, (last,) = layer(x, h)
        stepwise, (last_step,) = ScannedLayer.forward(layer, x, h)
    torch.testing.assert_close(at_once, stepwise, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(last, last_step, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cell", ["min-lstm", "min-gru"])
def test_a_long_chunk_keeps_its_digits(cell: str) -> None:
    """Over ten thousand rows at once float32 stays as near to float64 as it is a row at a time."""
    layer = make(cell).layers[0]
    x, h = torch.randn(10_000, 1, INPUTS), torch.zeros(1, HIDDEN)
    with torch.inference_mode():
        found, _ = layer(x, h)
        expected, _ = ScannedLayer.forward(cast(LinearLayer, layer).double(), x.double(), h.double())
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
