"""Graphs that read and write the arena themselves: only slots, rows and forecasts move."""

import onnx
from onnx import TensorProto, helper

from models.artifact import next_name
from models.manifest import Manifest, StateSpec

SLOTS = "slots"
_COLUMN = "slots_as_indices"
_DTYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64}


def arena_name(state: str) -> str:
    """The input that holds a state's arena."""
    return f"{state}_arena"


def arena_next_name(state: str) -> str:
    """The output that is the same arena after the step; bound to the same memory."""
    return f"{state}_arena_next"


def resident(graph: bytes, manifest: Manifest) -> bytes:
    """Wrap a graph: `Gather(arena, slots)` before it, `ScatterND(arena, slots, next)` after it.

    State inputs (B, *shape) become arenas (N, *shape), next states become arenas too, and `slots` (B,)
    int64 says which rows. A state that the graph does not read or write is left out.
    """
    model = onnx.load_model_from_string(graph)
    inputs = {tensor.name for tensor in model.graph.input}
    outputs = {tensor.name for tensor in model.graph.output}
    read = [spec for spec in manifest.states if spec.name in inputs]
    written = [spec for spec in manifest.states if next_name(spec.name) in outputs]
    axis = helper.make_tensor(f"{_COLUMN}_axis", TensorProto.INT64, [1], [1])
    before = [helper.make_node("Unsqueeze", [SLOTS, axis.name], [_COLUMN])] if written else []
    # The gathered rows take the name of the state input, so that the graph between stays as it is.
    before += [helper.make_node("Gather", [arena_name(s.name), SLOTS], [s.name], axis=0) for s in read]
    after = [
        helper.make_node(
            "ScatterND", [arena_name(s.name), _COLUMN, next_name(s.name)], [arena_next_name(s.name)]
        )
        for s in written
    ]
    kept_inputs = [t for t in model.graph.input if t.name not in {s.name for s in read}]
    kept_outputs = [t for t in model.graph.output if t.name not in {next_name(s.name) for s in written}]
    arenas = {s.name: s for s in (*read, *written)}.values()
    wrapped = helper.make_graph(
        [*before, *model.graph.node, *after],
        "resident",
        [
            *kept_inputs,
            helper.make_tensor_value_info(SLOTS, TensorProto.INT64, ["batch"]),
            *(_tensor(arena_name(s.name), s) for s in arenas),
        ],
        [*kept_outputs, *(_tensor(arena_next_name(s.name), s) for s in written)],
        [*model.graph.initializer, *([axis] if written else [])],
    )
    made = helper.make_model(wrapped, opset_imports=model.opset_import, ir_version=model.ir_version)
    made.functions.extend(model.functions)
    return made.SerializeToString()


def _tensor(name: str, spec: StateSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, _DTYPES[spec.dtype], ["capacity", *spec.shape])
