"""Graphs that read and write the arenas themselves: only slots, rows and forecasts move."""

from collections.abc import Callable

import onnx
from onnx import TensorProto, ValueInfoProto, helper

from models.artifact import ANOMALY, FORECAST, NUM_SCORES, READ_OUT, ROWS
from models.manifest import Manifest
from service.engine.layout import StateLayout
from service.engine.wrapping import (
    SLOTS,
    SLOTS_AGAIN,
    Wrapping,
    arena_name,
    arena_next_name,
    records_name,
    records_next_name,
)

# Axes that differ from run to run; of an arena, from server to server.
BATCH, TIME = "batch", "time"
_CAPACITY = "capacity"
# Of the graphs that no model file brings.
_OPSET, _IR_VERSION = 18, 10
_DTYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64}
Axis = int | str


def resident(
    graph: bytes, manifest: Manifest, batch: Axis = BATCH, time: Axis = TIME, *, scatters_last: bool = True
) -> bytes:
    """Wrap a graph: `Gather(arena, slots)` before it, `ScatterND(arena, slots, next)` after it.

    States come out of records and go into them (see `StateLayout`); `slots` (B,) int64 says which rows
    of the arenas (N, width). Of the inputs the columns come first, `slots` before all; `slots_again` is
    to be bound to the memory of `slots`.

    Args:
        graph: cut from a model file. Takes every state; returns every next state, or none.
        manifest: of that file.
        batch: a number where B is always the same, which lets ONNX Runtime compute at load what depends
            on shapes alone; else a name.
        time: likewise T.
        scatters_last: write no record before all states and forecasts are computed, so that a run that
            fails writes none. ONNX Runtime's own order is another.
    """
    model = onnx.load_model_from_string(graph)
    columns, layout = _columns(manifest, batch, time), StateLayout(manifest.states)
    taken = [columns[tensor.name] for tensor in model.graph.input if tensor.name in columns]
    given = [columns[tensor.name] for tensor in model.graph.output if tensor.name in columns]
    steps = len(given) < len(model.graph.output)
    wrapping = Wrapping(layout)
    wrapping.gather()
    wrapping.cut()
    wrapping.nodes += model.graph.node
    if steps:
        wrapping.join()
        computed = [*map(records_next_name, layout.groups), *(tensor.name for tensor in given)]
        wrapping.scatter(SLOTS_AGAIN, computed if scatters_last else ())
        taken.append(columns[SLOTS_AGAIN])
    del model.graph.node[:], model.graph.input[:], model.graph.output[:], model.graph.value_info[:]
    model.graph.node.extend(wrapping.nodes)
    model.graph.initializer.extend(wrapping.constants)
    model.graph.input.extend([columns[SLOTS], *taken, *_arenas(layout, arena_name)])
    model.graph.output.extend([*given, *(_arenas(layout, arena_next_name) if steps else [])])
    return model.SerializeToString()


def reader(layout: StateLayout) -> bytes:
    """A graph that copies records out of the arenas: `slots` -> records (B, width) of each dtype."""
    wrapping = Wrapping(layout)
    wrapping.gather()
    return _small(wrapping, _arenas(layout, arena_name), _records(layout, records_name))


def writer(layout: StateLayout) -> bytes:
    """A graph that puts records into the arenas: `slots`, then records (B, width) of each dtype."""
    wrapping = Wrapping(layout)
    wrapping.scatter(SLOTS)
    inputs = [*_records(layout, records_next_name), *_arenas(layout, arena_name)]
    return _small(wrapping, inputs, _arenas(layout, arena_next_name))


def _small(wrapping: Wrapping, inputs: list[ValueInfoProto], outputs: list[ValueInfoProto]) -> bytes:
    slots = helper.make_tensor_value_info(SLOTS, TensorProto.INT64, [BATCH])
    graph = helper.make_graph(wrapping.nodes, "records", [slots, *inputs], outputs, wrapping.constants)
    opset = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION).SerializeToString()


def _columns(manifest: Manifest, batch: Axis, time: Axis) -> dict[str, ValueInfoProto]:
    """What moves in a run, by name."""
    forecast = [manifest.horizon, manifest.num_columns]
    make = helper.make_tensor_value_info
    return {
        SLOTS: make(SLOTS, TensorProto.INT64, [batch]),
        SLOTS_AGAIN: make(SLOTS_AGAIN, TensorProto.INT64, [batch]),
        ROWS: make(ROWS, TensorProto.DOUBLE, [batch, time, manifest.row_layout.width]),
        FORECAST: make(FORECAST, TensorProto.FLOAT, [batch, time, *forecast]),
        ANOMALY: make(ANOMALY, TensorProto.FLOAT, [batch, time, NUM_SCORES]),
        READ_OUT: make(READ_OUT, TensorProto.FLOAT, [batch, *forecast]),
    }


def _arenas(layout: StateLayout, name: Callable[[str], str]) -> list[ValueInfoProto]:
    return _tensors(layout, name, _CAPACITY)


def _records(layout: StateLayout, name: Callable[[str], str]) -> list[ValueInfoProto]:
    return _tensors(layout, name, BATCH)


def _tensors(layout: StateLayout, name: Callable[[str], str], axis: Axis) -> list[ValueInfoProto]:
    """One for each dtype, (axis, width)."""
    make = helper.make_tensor_value_info
    return [make(name(dtype), _DTYPES[dtype], [axis, layout.width(dtype)]) for dtype in layout.groups]
