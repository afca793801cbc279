"""From the torch module to the ONNX graph, with its state as named pairs of tensors."""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from models.artifact import ANOMALY, FORECAST, READ_OUT, ROWS, next_name
from models.decoders import RollOut
from models.ensemble import Ensemble
from models.forecaster import Forecaster
from models.manifest import StateSpec
from models.state import initial_state
from training.operators import RECURRENT, layer_operators, onnx_operators
from training.quiet import errors_only
from training.roll_out_graph import rolled_out
from training.tracing import cheaply, traced

OPSET = 20


class ExportError(RuntimeError):
    """The exporter made a graph that would be slow or wrong."""


class _Surface(nn.Module):
    """The graph's inputs and outputs, flat and in order."""

    def __init__(self, forecaster: Forecaster | Ensemble) -> None:
        super().__init__()
        self.forecaster = forecaster
        self.names = list(forecaster.state_init())

    def forward(self, x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        state = dict(zip(self.names, states, strict=True))
        forecast, scores, after = self.forecaster.scored(x, state)
        # The read-out is of the incoming state: a session's forecast is read without a row to feed.
        answers = (forecast, self.forecaster.read_out(state), *([] if scores is None else [scores]))
        return *answers, *(after[name] for name in self.names)


def to_onnx(forecaster: Forecaster | Ensemble) -> onnx.ModelProto:
    """The forecaster as an ONNX graph with dynamic batch and time axes; its training mode is left as it was.

    Inputs: `x` (B, T, width) float64 and each state (B, *shape) by name. Outputs: `forecast` (B, T, K, Q)
    float32, `read_out` (B, K, Q) float32 of the state that came in, `anomaly` (B, T, 2) float32 where
    rows are scored, and `<state>_next`.

    Raises:
        ExportError: the recurrence did not become ONNX's own operators.
    """
    was_training = forecaster.training
    forecaster.eval()
    if isinstance(forecaster.first.decoder, RollOut):
        model = rolled_out(forecaster.first, _export)
    else:
        model = _at_once(forecaster)
    forecaster.train(was_training)
    _check_fused(model, forecaster)
    return model


def _at_once(forecaster: Forecaster | Ensemble) -> onnx.ModelProto:
    surface = _Surface(forecaster)
    states = initial_state(forecaster.state_init(), 3)
    rows = torch.zeros(3, 5, forecaster.architecture.row_layout.width, dtype=torch.float64)
    scores = [ANOMALY] if forecaster.architecture.anomaly else []
    dynamic = torch.export.Dim.DYNAMIC  # unlike AUTO, refuses to settle on the example's length
    return _export(
        surface,
        (rows, tuple(states.values())),
        [ROWS, *surface.names],
        [FORECAST, READ_OUT, *scores, *map(next_name, surface.names)],
        ({0: dynamic, 1: dynamic}, tuple({0: dynamic} for _ in surface.names)),
    )


def _export(
    module: nn.Module,
    arguments: tuple[Any, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic_shapes: tuple[Any, ...],
) -> onnx.ModelProto:
    """`module` as a graph, its recurrent layers single operators, without the exporter's notes."""
    module.eval()
    with _quiet(), onnx_operators(module, OPSET), cheaply():
        program = torch.onnx.export(
            traced(module, arguments, dynamic_shapes),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=input_names,
            output_names=output_names,
        )
    assert program is not None  # None only where a file name was given
    model = program.model_proto
    _strip(model)
    _name_axes(model)
    _close_bodies(model)
    return model


def state_specs(forecaster: Forecaster | Ensemble) -> tuple[StateSpec, ...]:
    """The manifest's account of the state tensors, in the order of the graph's inputs."""
    return tuple(
        StateSpec.model_validate(
            {
                "name": name,
                "shape": init.shape,
                "dtype": str(init.dtype).removeprefix("torch."),
                "initial": init.value,
            }
        )
        for name, init in forecaster.state_init().items()
    )


def _strip(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes: stack traces hold paths of this machine and would change the digest."""
    model.ClearField("metadata_props")
    model.ClearField("doc_string")
    for graph in _graphs(model.graph):
        for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
            part.ClearField("metadata_props")
            part.ClearField("doc_string")


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and the bodies within it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def _name_axes(model: onnx.ModelProto) -> None:
    """Say `batch` and `time` where the exporter numbers the free axes, batches differently by tensor.

    Noted shapes within the graph hold those numbers too; ONNX Runtime infers them again.
    """
    graph, *bodies = _graphs(model.graph)
    del graph.value_info[:]
    for tensor in (*graph.input, *graph.output):
        for axis, name in zip(tensor.type.tensor_type.shape.dim, ("batch", "time"), strict=False):
            if axis.HasField("dim_param"):
                axis.dim_param = name
    for body in bodies:
        del body.value_info[:]
        for tensor in (*body.input, *body.output):
            tensor.type.tensor_type.ClearField("shape")


def _close_bodies(model: onnx.ModelProto) -> None:
    """Copy the weights that a body reads into it and drop those that no other node reads.

    A server cuts the graph by the inputs of its nodes, which do not tell what a body reads from outside.
    """
    graph, *bodies = _graphs(model.graph)
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for body in bodies:
        made = {tensor.name for tensor in body.input} | {name for node in body.node for name in node.output}
        for name in sorted({name for node in body.node for name in node.input if name} - made):
            if name not in weights:
                raise ExportError(
                    f"body {body.name}: expected to read weights alone from outside, found {name}"
                )
            body.initializer.append(weights[name])
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _check_fused(model: onnx.ModelProto, forecaster: Forecaster | Ensemble) -> None:
    expected = sum(map(_expected_operators, forecaster.members), Counter[str]())
    if isinstance(forecaster, Ensemble) and forecaster.watch is not None:
        expected += layer_operators(forecaster.watch)
    found = Counter(node.op_type for graph in _graphs(model.graph) for node in graph.node)
    for operator in sorted(RECURRENT):
        if found[operator] != expected[operator]:
            raise ExportError(
                f"operator {operator}: expected {expected[operator]} (one a layer), found {found[operator]}"
            )


def _expected_operators(forecaster: Forecaster) -> Counter[str]:
    """Each layer once, those of a decoder in the forecast and in the read-out."""
    decoder = layer_operators(forecaster.decoder)
    cell = layer_operators(forecaster) - decoder
    if isinstance(forecaster.decoder, RollOut):
        # For the row itself and for the steps after it; for those of the read-out. A loop each.
        return Counter({name: 3 * cell[name] for name in cell}) + Counter({"Scan": 3})
    return cell + decoder + decoder


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter: torch 2.13 and onnxscript 0.7 log progress and deprecations of their own."""
    with errors_only("torch.onnx", "torch.export", "onnxscript", "onnx_ir"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
