"""The graph of a roll-out: a loop over the steps to come, within a loop over the rows of a chunk.

Three small graphs are exported and put together here: the state after a row, the copies that a roll-out
begins with, and one of its steps. So neither the graph's size nor the time to make it grows with the horizon.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from onnx.compose import add_prefix
from torch import Tensor, nn

from models.artifact import FORECAST, READ_OUT, ROWS, next_name
from models.decoders import RollOut
from models.forecaster import Forecaster
from models.state import initial_state

Export = Callable[..., ModelProto]
_DRAWS, _MADE, _COPY = "draws", "made", "copy_"
_BATCH, _TIME = "batch", "time"


class _Part(nn.Module):
    """One of the three, its states flat and in order."""

    def __init__(self, forecaster: Forecaster) -> None:
        super().__init__()
        self.forecaster = forecaster
        self.names = list(forecaster.state_init())

    def named(self, states: tuple[Tensor, ...]) -> dict[str, Tensor]:
        return dict(zip(self.names, states, strict=True))

    def flat(self, state: dict[str, Tensor]) -> tuple[Tensor, ...]:
        return tuple(state[name] for name in self.names)


class _Advance(_Part):
    def forward(self, x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return self.flat(self.forecaster.advance(x, self.named(states)))


class _Begin(_Part):
    def forward(self, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        decoder = self.forecaster.decoder
        assert isinstance(decoder, RollOut)
        copies, draws = decoder.begin(self.named(states))
        return draws, *self.flat(copies)


class _Ahead(_Part):
    def forward(self, draws: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        made, after = self.forecaster.ahead(draws, self.named(states))
        return made, *self.flat(after)


class _Assembly:
    """The three graphs, and what is made of them; the caller's names stand outside, prefixed ones within."""

    def __init__(self, forecaster: Forecaster, export: Export) -> None:
        assert isinstance(forecaster.decoder, RollOut)
        self.decoder = forecaster.decoder
        self.states = list(forecaster.state_init())
        self.after = [next_name(state) for state in self.states]
        copies = [_COPY + state for state in self.states]
        dynamic = torch.export.Dim.DYNAMIC
        values = tuple(initial_state(forecaster.state_init(), 3).values())
        axes: tuple[Any, ...] = tuple({0: dynamic} for _ in values)
        rows = torch.zeros(3, 1, forecaster.architecture.row_layout.width, dtype=torch.float64)
        _, *shape = self.decoder.begin({"any": rows})[1][0].shape
        draws = torch.full((3, *shape), 0.5)
        self.advance = export(
            _Advance(forecaster), (rows, values), [ROWS, *self.states], self.after, ({0: dynamic}, axes)
        )
        self.begin = export(_Begin(forecaster), (values,), self.states, [_DRAWS, *copies], (axes,))
        self.ahead = export(
            _Ahead(forecaster),
            (draws, values),
            [_DRAWS, *self.states],
            [_MADE, *self.after],
            ({0: dynamic}, axes),
        )

    def read_out(self, states: Sequence[str], output: str, prefix: str) -> GraphProto:
        """Nodes and weights from the states of these names to a forecast (B, K, Q) of this name."""
        begin = add_prefix(self.begin, prefix).graph
        body = add_prefix(self.ahead, f"{prefix}step_").graph
        copies = [f"{prefix}{_COPY}{state}" for state in self.states]
        loop = helper.make_node(
            "Scan",
            [*copies, prefix + _DRAWS],
            [*(f"{prefix}last_{state}" for state in self.states), prefix + _MADE],
            body=_loop_body(
                body,
                [f"{prefix}step_{name}" for name in (*self.states, _DRAWS)],
                [f"{prefix}step_{name}" for name in (*self.after, _MADE)],
            ),
            num_scan_inputs=1,
        )
        nodes, weights = self._finish(prefix + _MADE, output, prefix)
        taken = [
            helper.make_node("Identity", [state], [prefix + name])
            for state, name in zip(states, self.states, strict=True)
        ]
        return helper.make_graph(
            [*taken, *begin.node, loop, *nodes], prefix, [], [], [*begin.initializer, *weights]
        )

    def _finish(self, steps: str, output: str, prefix: str) -> tuple[list[NodeProto], list[TensorProto]]:
        """`RollOut.finish`: (K, N, 1) or (K, N, Q) to (B, K, Q)."""
        make, num_paths = helper.make_node, self.decoder.num_paths
        if not num_paths:
            return [make("Transpose", [steps], [output], perm=[1, 0, 2])], []
        names = {
            name: prefix + name for name in ("paths", "by_batch", "sorted", "order", "shape", "num", "ranks")
        }
        nodes = [
            make("Reshape", [steps, names["shape"]], [names["paths"]]),
            make("Transpose", [names["paths"]], [names["by_batch"]], perm=[1, 0, 2]),
            make("TopK", [names["by_batch"], names["num"]], [names["sorted"], names["order"]], largest=0),
            make("MatMul", [names["sorted"], names["ranks"]], [output]),
        ]
        weights = [
            helper.make_tensor(names["shape"], TensorProto.INT64, [3], [0, -1, num_paths]),
            helper.make_tensor(names["num"], TensorProto.INT64, [1], [num_paths]),
            numpy_helper.from_array(self.decoder.ranks.cpu().numpy(), names["ranks"]),
        ]
        return nodes, weights

    def over_rows(self) -> NodeProto:
        """A loop over the rows of a chunk: the state after each, and a roll-out from there."""
        prefix = "row_"
        advance = add_prefix(self.advance, prefix).graph
        after = [prefix + name for name in self.after]
        ahead = self.read_out(after, f"{prefix}{FORECAST}", f"{prefix}ahead_")
        time_axis = helper.make_tensor(f"{prefix}time_axis", TensorProto.INT64, [1], [1])
        row = f"{prefix}one"
        nodes = [
            helper.make_node("Unsqueeze", [row, time_axis.name], [prefix + ROWS]),
            *advance.node,
            *ahead.node,
        ]
        inputs = [*(_any_shape(advance.input, prefix + state) for state in self.states)]
        inputs.append(helper.make_tensor_value_info(row, TensorProto.DOUBLE, None))
        outputs = [*(_any_shape(advance.output, name) for name in after)]
        outputs.append(helper.make_tensor_value_info(prefix + FORECAST, TensorProto.FLOAT, None))
        weights = [*advance.initializer, *ahead.initializer, time_axis]
        return helper.make_node(
            "Scan",
            [*self.states, ROWS],
            [*self.after, FORECAST],
            body=helper.make_graph(nodes, "row", inputs, outputs, weights),
            num_scan_inputs=1,
            scan_input_axes=[1],
            scan_output_axes=[1],
        )


def rolled_out(forecaster: Forecaster, export: Export) -> ModelProto:
    """The whole graph of a forecaster that rolls out, as `training.export.to_onnx` promises it."""
    parts, a = _Assembly(forecaster, export), forecaster.architecture
    ahead = parts.read_out(parts.states, READ_OUT, "ahead_")
    columns = [a.horizon, len(a.quantile_levels)]
    make = helper.make_tensor_value_info
    states = [tensor for tensor in parts.advance.graph.input if tensor.name != ROWS]
    graph = helper.make_graph(
        [parts.over_rows(), *ahead.node],
        parts.advance.graph.name,
        [make(ROWS, TensorProto.DOUBLE, [_BATCH, _TIME, a.row_layout.width]), *states],
        [
            make(FORECAST, TensorProto.FLOAT, [_BATCH, _TIME, *columns]),
            make(READ_OUT, TensorProto.FLOAT, [_BATCH, *columns]),
            *parts.advance.graph.output,
        ],
        list(ahead.initializer),
    )
    model = ModelProto()
    model.CopyFrom(parts.advance)
    model.graph.CopyFrom(graph)
    return model


def _loop_body(graph: GraphProto, inputs: Sequence[str], outputs: Sequence[str]) -> GraphProto:
    """The graph as a body: its inputs and outputs in this order, of any shape."""
    return helper.make_graph(
        list(graph.node),
        graph.name,
        [_any_shape(graph.input, name) for name in inputs],
        [_any_shape(graph.output, name) for name in outputs],
        list(graph.initializer),
    )


def _any_shape(tensors: Sequence[ValueInfoProto], name: str) -> ValueInfoProto:
    """The dtype of one of the tensors; ONNX Runtime infers the shape, and a wrong note would be an error."""
    tensor = next(tensor for tensor in tensors if tensor.name == name)
    return helper.make_tensor_value_info(name, tensor.type.tensor_type.elem_type, None)
