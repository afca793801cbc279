"""The graphs that one model file holds, each cut to what it is asked for."""

from dataclasses import dataclass

import onnx
from onnx import compose
from onnx.utils import Extractor

from models.artifact import ANOMALY, FORECAST, READ_OUT, ROWS, next_name
from models.manifest import Manifest

_AFTER = "after_"


@dataclass(frozen=True)
class Graphs:
    """Serialised ONNX models, cut from one file by the names of their inputs and outputs.

    Attributes:
        advance: rows, states -> next states. Observing pays for the recurrent step alone.
        forecast: rows, states -> a forecast after each row, next states.
        last: rows, states -> the read-out of the next states, next states.
        read_out: states -> the forecast of the state as it stands.
        scored: rows, states -> a forecast after each row, its score, next states; None without scores.
    """

    advance: bytes
    forecast: bytes
    last: bytes
    read_out: bytes
    scored: bytes | None = None


def split(graph: onnx.ModelProto, manifest: Manifest) -> Graphs:
    """Cut the graph of a model file into those that a server runs."""
    states = [state.name for state in manifest.states]
    next_states = [next_name(name) for name in states]
    cut = Extractor(graph)
    advance = cut.extract_model([ROWS, *states], next_states)
    read_out = cut.extract_model(states, [READ_OUT])
    return Graphs(
        advance=advance.SerializeToString(),
        forecast=cut.extract_model([ROWS, *states], [FORECAST, *next_states]).SerializeToString(),
        last=_read_out_after(advance, read_out).SerializeToString(),
        read_out=read_out.SerializeToString(),
        scored=cut.extract_model([ROWS, *states], [FORECAST, ANOMALY, *next_states]).SerializeToString()
        if manifest.scores_anomalies
        else None,
    )


def _read_out_after(advance: onnx.ModelProto, read_out: onnx.ModelProto) -> onnx.ModelProto:
    """One graph of two: the states that `advance` ends with are those that `read_out` reads."""
    # Both come from one file and share names, which the prefix sets apart.
    second = compose.add_prefix(read_out, _AFTER, rename_functions=False).graph
    both = onnx.ModelProto()
    both.CopyFrom(advance)
    for tensor in read_out.graph.input:
        both.graph.node.append(_same(next_name(tensor.name), _AFTER + tensor.name))
    both.graph.node.extend(second.node)
    both.graph.node.append(_same(_AFTER + READ_OUT, READ_OUT))
    both.graph.initializer.extend(second.initializer)
    both.graph.value_info.extend(second.value_info)
    both.graph.output.extend(read_out.graph.output)
    both.functions.extend(function for function in read_out.functions if function not in advance.functions)
    return both


def _same(name: str, other: str) -> onnx.NodeProto:
    return onnx.helper.make_node("Identity", [name], [other])
