"""A graph of one row as a graph of any number of rows: a `Scan` that carries the states by name."""

from collections.abc import Sequence

import onnx
from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto, helper
from onnx.compose import add_prefix
from onnx.utils import Extractor

from models.artifact import FORECAST, READ_OUT, ROWS, next_name

# Names of a body may not be those around it.
_PREFIX = "row_"
_TIME_AXIS = "row_time_axis"


def over_rows(model: ModelProto, states: Sequence[str]) -> ModelProto:
    """`model`, which takes rows (B, 1, F), for rows (B, T, F).

    A roll-out begins at the state after a row. ONNX's recurrent operators give only the state after the last
    one, so here the graph of one row is run for each. The read-out, which needs no row, stays outside.
    """
    cut = Extractor(model)
    step = cut.extract_model([ROWS, *states], [FORECAST, *map(next_name, states)])
    graph = cut.extract_model(list(states), [READ_OUT]).graph
    after = [next_name(state) for state in states]
    scan = helper.make_node(
        "Scan",
        [*states, ROWS],
        [*after, FORECAST],
        body=_body(step, states),
        num_scan_inputs=1,
        scan_input_axes=[1],
        scan_output_axes=[1],
    )
    tensors = {tensor.name: tensor for tensor in (*model.graph.input, *model.graph.output)}
    for name in (ROWS, FORECAST):
        axis = tensors[name].type.tensor_type.shape.dim[1]
        axis.Clear()
        axis.dim_param = "time"
    made = ModelProto()
    made.CopyFrom(model)
    made.graph.CopyFrom(
        helper.make_graph(
            [scan, *graph.node],
            model.graph.name,
            [tensors[name] for name in (ROWS, *states)],
            [tensors[name] for name in (FORECAST, READ_OUT, *after)],
            list(graph.initializer),
        )
    )
    return made


def _body(step: ModelProto, states: Sequence[str]) -> GraphProto:
    """One row (B, F): the states in and out, and the forecast (B, K, Q)."""
    inner = add_prefix(step, _PREFIX).graph
    rows, forecast = _PREFIX + ROWS, _PREFIX + FORECAST
    time_axis = helper.make_tensor(_TIME_AXIS, TensorProto.INT64, [1], [1])
    row, made = f"{rows}_t", f"{forecast}_t"
    nodes = [
        helper.make_node("Unsqueeze", [row, _TIME_AXIS], [rows]),
        *inner.node,
        helper.make_node("Squeeze", [forecast, _TIME_AXIS], [made]),
    ]
    types = {tensor.name: tensor for tensor in (*inner.input, *inner.output)}
    inputs = [*(_typed(types, _PREFIX + state) for state in states), _typed(types, rows, row)]
    outputs = [
        *(_typed(types, _PREFIX + next_name(state)) for state in states),
        _typed(types, forecast, made),
    ]
    return helper.make_graph(nodes, "row", inputs, outputs, [*inner.initializer, time_axis])


def _typed(types: dict[str, ValueInfoProto], name: str, called: str | None = None) -> ValueInfoProto:
    """The tensor's dtype without its shape: ONNX Runtime infers that, and a wrong note would be an error."""
    return onnx.helper.make_tensor_value_info(called or name, types[name].type.tensor_type.elem_type, None)
