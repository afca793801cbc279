"""Where each kind of layer has its gates, its memory and its recurrent weights.

Shapes: T time, B batch, I inputs, H hidden.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from models.cells import Cell
from models.cells.jordan import JordanLayer
from models.cells.lstm_reference import ReferenceLayer
from models.cells.min_gru import MinGRULayer
from models.cells.min_lstm import MinLSTMLayer
from models.cells.peephole import PeepholeLayer
from models.cells.scanned import log_sigmoid
from models.cells.slstm import SLSTMLayer


@dataclass(frozen=True)
class Opened:
    """What a layer's gates let through at each row, (T, B, H) each, between 0 and 1.

    Attributes:
        gates: by name.
        keep: the share of what was remembered that the row leaves standing.
    """

    gates: dict[str, Tensor]
    keep: Tensor


@dataclass(frozen=True)
class Anatomy:
    """Of one kind of layer.

    Attributes:
        recurrent: the (H, H) matrices by which the last output comes back, by gate.
        open: gates along rows (T, B, I) from the states before them; None where there are none.
        keep_biases: biases (views, to be written to) of what opens with memory, and of what shuts with it.
    """

    recurrent: Callable[[Any], Mapping[str, Tensor]]
    open: Callable[[Any, Tensor, Sequence[Tensor]], Opened] | None = None
    keep_biases: Callable[[Any], tuple[Sequence[Tensor], Sequence[Tensor]]] | None = None


def layers_of(cell: Cell) -> list[tuple[str, nn.Module, Anatomy]]:
    """Every recurrent layer of a cell that is known here, with its name."""
    found = []
    for name, module in cast(nn.Module, cell).named_modules():
        anatomy = ANATOMIES.get(type(module))
        if anatomy is not None:
            found.append((name, module, anatomy))
    return found


def _blocks(weight: Tensor, *names: str) -> dict[str, Tensor]:
    """A (G H, ...) tensor cut into its gates."""
    return dict(zip(names, weight.chunk(len(names)), strict=True))


def _walked(row: Callable[..., tuple[dict[str, Tensor], Tensor, Sequence[Tensor]]], *along: Any) -> Opened:
    """Call `row` for each row with the states it gave before: its gates, its keep and the next states."""
    x, states = along
    rows, keeps = [], []
    for each in x:
        gates, keep, states = row(each, *states)
        rows.append(gates)
        keeps.append(keep)
    return Opened({name: torch.stack([one[name] for one in rows]) for name in rows[0]}, torch.stack(keeps))


def _open_lstm(layer: Any, x: Tensor, states: Sequence[Tensor]) -> Opened:
    w, u, *biases = (cast(Tensor, parameter) for parameter in layer.parameters())
    bias = biases[0] + biases[1]

    def row(x: Tensor, h: Tensor, c: Tensor) -> tuple[dict[str, Tensor], Tensor, Sequence[Tensor]]:
        i, f, g, o = (x @ w.T + h @ u.T + bias).chunk(4, dim=-1)
        i, f, o = torch.sigmoid(i), torch.sigmoid(f), torch.sigmoid(o)
        c = f * c + i * torch.tanh(g)
        return {"input": i, "forget": f, "output": o}, f, (o * torch.tanh(c), c)

    return _walked(row, x, states)


def _open_peephole(layer: Any, x: Tensor, states: Sequence[Tensor]) -> Opened:
    p = layer.peephole

    def row(x: Tensor, h: Tensor, c: Tensor) -> tuple[dict[str, Tensor], Tensor, Sequence[Tensor]]:
        i, f, g, o = (x @ layer.weight_ih.T + h @ layer.weight_hh.T + layer.bias).chunk(4, dim=-1)
        i, f = torch.sigmoid(i + p[0] * c), torch.sigmoid(f + p[1] * c)
        c = f * c + i * torch.tanh(g)
        o = torch.sigmoid(o + p[2] * c)
        return {"input": i, "forget": f, "output": o}, f, (o * torch.tanh(c), c)

    return _walked(row, x, states)


def _open_reference(layer: Any, x: Tensor, states: Sequence[Tensor]) -> Opened:
    gates = layer.trace(x, *states)
    return Opened({"input": gates.input, "forget": gates.forget, "output": gates.output}, gates.forget)


def _open_gru(layer: Any, x: Tensor, states: Sequence[Tensor]) -> Opened:
    w, u, b, c = (cast(Tensor, parameter) for parameter in layer.parameters())

    def row(x: Tensor, h: Tensor) -> tuple[dict[str, Tensor], Tensor, Sequence[Tensor]]:
        (xr, xz, xn), (hr, hz, hn) = (x @ w.T + b).chunk(3, dim=-1), (h @ u.T + c).chunk(3, dim=-1)
        r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
        return {"reset": r, "update": z}, z, ((1 - z) * torch.tanh(xn + r * hn) + z * h,)

    return _walked(row, x, states)


def _open_min_gru(layer: Any, x: Tensor, _states: Sequence[Tensor]) -> Opened:
    keep, _ = layer.project(x)
    return Opened({"update": 1 - keep}, keep)


def _open_min_lstm(layer: Any, x: Tensor, _states: Sequence[Tensor]) -> Opened:
    keep, _ = layer.project(x)
    return Opened({"input": torch.sigmoid(layer.input(x)), "forget": torch.sigmoid(layer.forget(x))}, keep)


def _open_slstm(layer: Any, x: Tensor, states: Sequence[Tensor]) -> Opened:
    """Its exponential input gate has no upper end: what is given is the weight of the row in the memory."""

    def row(projected: Tensor, *states: Tensor) -> tuple[dict[str, Tensor], Tensor, Sequence[Tensor]]:
        h, _, normaliser, stabiliser = states
        _, f, _, o = (projected + layer.recurrence(h)).chunk(4, dim=-1)
        after = layer.step((projected,), *states)
        keep = torch.exp(log_sigmoid(f) + stabiliser - after[3]) * normaliser / after[2]
        gates = {"input": 1 - keep, "forget": torch.sigmoid(f), "output": torch.sigmoid(o)}
        return gates, keep, after

    return _walked(row, layer.project(x)[0], states)


def _lstm_biases(layer: Any) -> tuple[list[Tensor], list[Tensor]]:
    bias = layer.bias_ih_l0 if isinstance(layer, nn.LSTM) else layer.bias
    i, f, *_ = cast(Tensor, bias).chunk(4)
    return [f], [i]


_IFGO = ("input", "forget", "candidate", "output")

ANATOMIES: dict[type[nn.Module], Anatomy] = {
    nn.RNN: Anatomy(lambda layer: {"state": layer.weight_hh_l0}),
    # The output comes back through both.
    JordanLayer: Anatomy(lambda layer: {"output": layer.readout.weight @ layer.feedback.weight}),
    nn.LSTM: Anatomy(lambda layer: _blocks(layer.weight_hh_l0, *_IFGO), _open_lstm, _lstm_biases),
    PeepholeLayer: Anatomy(lambda layer: _blocks(layer.weight_hh, *_IFGO), _open_peephole, _lstm_biases),
    ReferenceLayer: Anatomy(
        lambda layer: {
            "input": layer.input_gate.weight[:, : len(layer.input_gate.bias)],
            "forget": layer.forget_gate.weight[:, : len(layer.input_gate.bias)],
            "candidate": layer.candidate.weight[:, : len(layer.input_gate.bias)],
            "output": layer.output_gate.weight[:, : len(layer.input_gate.bias)],
        },
        _open_reference,
        lambda layer: ([layer.forget_gate.bias], [layer.input_gate.bias]),
    ),
    nn.GRU: Anatomy(
        lambda layer: _blocks(layer.weight_hh_l0, "reset", "update", "candidate"),
        _open_gru,
        lambda layer: ([layer.bias_ih_l0.chunk(3)[1]], []),
    ),
    MinGRULayer: Anatomy(lambda _: {}, _open_min_gru, lambda layer: ([], [layer.update.bias])),
    MinLSTMLayer: Anatomy(
        lambda _: {}, _open_min_lstm, lambda layer: ([layer.forget.bias], [layer.input.bias])
    ),
    SLSTMLayer: Anatomy(
        lambda layer: _blocks(layer.recurrence.weight, "input", "forget", "candidate", "output"),
        _open_slstm,
        # Of the exponential gate the level does not matter: it is divided by the normaliser.
        lambda layer: ([layer.input.bias.chunk(4)[1]], []),
    ),
}
