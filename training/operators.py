"""Recurrent layers as ONNX's own operators, with nothing around them for a served row to pay."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

from models.cells.peephole import PeepholeLayer
from models.cells.scanned import ScannedLayer

# torch orders the gates i, f, g, o and r, z, n; ONNX i, o, f, c and z, r, h.
_LSTM_GATES = (0, 3, 1, 2)
_GRU_GATES = (1, 0, 2)
# Of i, f, o those of ONNX: i, o, f.
_PEEPHOLES = (0, 2, 1)
_ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu"}


# Those that compute a recurrence; each layer of a cell is one of them, and there is no other in a graph.
RECURRENT = frozenset({"LSTM", "GRU", "RNN", "Scan", "Loop", "If"})


def layer_operators(module: nn.Module) -> Counter[str]:
    """The recurrent operators that an export of `module` is made of, and how many of each."""
    return Counter(operator for layer in module.modules() for operator, _ in _translations(layer))


@contextmanager
def onnx_operators(module: nn.Module, opset: int) -> Iterator[None]:
    """While open, every recurrent layer in `module` exports as the one operator that computes it.

    torch 2.13 left to itself notes the example's length as the time axis of a recurrence or unrolls it to
    that length, and onnxscript 0.7 surrounds the operator with cuts, transpositions and computed shapes,
    which cost a single row as much as a layer does.
    """
    forwards = {
        layer: translate(layer, opset) for layer in module.modules() for _, translate in _translations(layer)
    }
    for layer, forward in forwards.items():
        # In the instance: it hides the class's own and goes with the deletion below.
        layer.__dict__["forward"] = forward
    try:
        yield
    finally:
        for layer in forwards:
            del layer.__dict__["forward"]


def _translations(layer: nn.Module) -> list[tuple[str, "_Translate"]]:
    """The operator of a layer and what makes its `forward`; none for a module that is no recurrent layer."""
    return [translation for kind, translation in _TRANSLATIONS.items() if isinstance(layer, kind)]


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


def _rnn(layer: nn.RNN, opset: int) -> Callable[..., Any]:
    weights = _weights(layer, (0,))
    attributes = {"hidden_size": layer.hidden_size, "activations": [_ACTIVATIONS[layer.nonlinearity]]}

    def forward(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        y, h = _operator("RNN", x, weights, (state,), attributes, opset)
        return y, h

    return forward


def _peephole(layer: PeepholeLayer, opset: int) -> Callable[..., Any]:
    w, r, bias = (
        torch.cat([parameter.detach().chunk(4)[gate] for gate in _LSTM_GATES]).unsqueeze(0)
        for parameter in (layer.weight_ih, layer.weight_hh, layer.bias)
    )
    weights = w, r, torch.cat([bias, torch.zeros_like(bias)], dim=1)
    peephole = layer.peephole.detach()[list(_PEEPHOLES)].reshape(1, -1)
    attributes = {"hidden_size": layer.peephole.shape[1]}

    def forward(x: Tensor, *states: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        before = [state.unsqueeze(0) for state in states]
        y, *after = _operator("LSTM", x, weights, before, attributes, opset, peephole)
        return y, tuple(state.squeeze(0) for state in after)

    return forward


def _scan(layer: ScannedLayer, _opset: int) -> Callable[..., Any]:
    def body(states: list[Tensor], rows: tuple[Tensor, ...]) -> tuple[list[Tensor], Tensor]:
        after = layer.step(rows, *states)
        return list(after), after[0].clone()  # torch's scan refuses one tensor in two places

    def forward(x: Tensor, *states: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        after, y = scan(body, list(states), layer.project(x))
        return y, tuple(after)

    return forward


def _operator(
    name: str,
    x: Tensor,
    weights: Sequence[Tensor],
    states: Sequence[Tensor],
    attributes: Mapping[str, Any],
    opset: int,
    *more: Tensor,
) -> list[Tensor]:
    """Outputs (T, B, H) and the next states (1, B, H), of rows (T, B, I) and states (1, B, H).

    Args:
        more: inputs of the operator after its states.
    """
    hidden = states[0].shape
    y, *after = torch.onnx.ops.symbolic_multi_out(
        name,
        (x, *weights, None, *states, *more),
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


_Translate = Callable[[Any, int], Callable[..., Any]]
_TRANSLATIONS: dict[type[nn.Module], tuple[str, _Translate]] = {
    nn.LSTM: ("LSTM", _lstm),
    nn.GRU: ("GRU", _gru),
    nn.RNN: ("RNN", _rnn),
    PeepholeLayer: ("LSTM", _peephole),
    ScannedLayer: ("Scan", _scan),
}
