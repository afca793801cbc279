"""torch's recurrent layers as ONNX's own operators, with nothing around them for a served row to pay."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

# torch orders the gates i, f, g, o and r, z, n; ONNX i, o, f, c and z, r, h.
_LSTM_GATES = (0, 3, 1, 2)
_GRU_GATES = (1, 0, 2)


@contextmanager
def onnx_operators(module: nn.Module, opset: int) -> Iterator[None]:
    """While open, every `nn.LSTM` and `nn.GRU` in `module` exports as the operator of its name.

    torch 2.13 left to itself notes the example's length as the time axis of a recurrence, and onnxscript
    0.7 surrounds the operator with cuts, transpositions and computed shapes, which cost a single row as
    much as a layer does.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, nn.LSTM | nn.GRU)]
    forwards = [_lstm(layer, opset) if isinstance(layer, nn.LSTM) else _gru(layer, opset) for layer in layers]
    for layer, forward in zip(layers, forwards, strict=True):
        # In the instance: it hides the class's own and goes with the deletion below.
        layer.__dict__["forward"] = forward
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["forward"]


def _lstm(layer: nn.LSTM, opset: int) -> Callable[..., Any]:
    weights = _weights(layer, _LSTM_GATES)

    def forward(x: Tensor, states: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, h, c = _operator("LSTM", x, weights, states, {"hidden_size": layer.hidden_size}, opset)
        return y, (h, c)

    return forward


def _gru(layer: nn.GRU, opset: int) -> Callable[..., Any]:
    weights = _weights(layer, _GRU_GATES)
    attributes = {"hidden_size": layer.hidden_size, "linear_before_reset": 1}

    def forward(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        y, h = _operator("GRU", x, weights, (state,), attributes, opset)
        return y, h

    return forward


def _operator(
    name: str,
    x: Tensor,
    weights: Sequence[Tensor],
    states: Sequence[Tensor],
    attributes: Mapping[str, int],
    opset: int,
) -> list[Tensor]:
    """Outputs (T, B, H) and the next states (1, B, H), of rows (T, B, I) and states (1, B, H)."""
    hidden = states[0].shape
    y, *after = torch.onnx.ops.symbolic_multi_out(
        name,
        (x, *weights, None, *states),
        {**attributes},
        dtypes=[torch.float32] * (1 + len(states)),
        shapes=[(x.shape[0], *hidden), *[hidden] * len(states)],
        version=opset,
    )
    return [y.squeeze(1), *after]


def _weights(layer: nn.RNNBase, gates: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """W (1, G H, I), R (1, G H, H) and B (1, 2 G H) of one plain layer, in ONNX's order of gates."""
    if not layer.bias or layer.num_layers != 1 or layer.bidirectional or layer.batch_first:
        raise NotImplementedError(f"expected one layer with biases, time first, found {layer}")
    w, r, *biases = (
        torch.cat([parameter.detach().chunk(len(gates))[gate] for gate in gates]).unsqueeze(0)
        for parameter in layer.parameters()
    )
    return w, r, torch.cat(biases, dim=1)
