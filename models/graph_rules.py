"""What a graph from elsewhere may hold: operators of ONNX, its own weights, a size that can be served."""

import math
from collections.abc import Iterable, Iterator

import onnx
from onnx import numpy_helper

from models.artifact import ArtifactError
from models.manifest import Manifest

MAX_NODES = 100_000
MAX_DEPTH = 8
# Numbers in a tensor that a graph makes of nothing but its shape: more than any weight of ours.
MAX_MADE = 1 << 26
MAX_ROW_NUMBERS = 4096
MAX_FORECAST_NUMBERS = 1 << 20
MAX_STATE_BYTES = 1 << 24
_ONNX = {"", "ai.onnx"}


def check_graph(model: onnx.ModelProto) -> None:
    """Hold a graph against these rules, before anything is made of it.

    Raises:
        ArtifactError: weights in another file, an operator that is none of ONNX's, or more than may be.
    """
    made_of: dict[str, onnx.TensorProto] = {}
    # Functions that the file itself holds are put in place of their calls, and their nodes are checked too.
    own = {(function.domain, function.name) for function in model.functions}
    num_nodes = 0
    for graph, depth in _graphs(model):
        if depth > MAX_DEPTH:
            raise ArtifactError(f"graph: expected at most {MAX_DEPTH} graphs inside one another")
        nodes = graph.node
        num_nodes += len(nodes)
        if num_nodes > MAX_NODES:
            raise ArtifactError(f"graph: expected at most {MAX_NODES} nodes")
        if isinstance(graph, onnx.GraphProto):
            _check_weights(graph, made_of)
        _check_nodes(nodes, own, made_of)


def check_size(manifest: Manifest) -> None:
    """Hold what a manifest makes a server set aside against these rules.

    Raises:
        ArtifactError: names what is too large.
    """
    for what, found, most in (
        ("numbers in a row", manifest.row_layout.width, MAX_ROW_NUMBERS),
        ("numbers in a forecast", manifest.horizon * manifest.num_columns, MAX_FORECAST_NUMBERS),
        ("bytes of state", manifest.state_bytes, MAX_STATE_BYTES),
    ):
        if found > most:
            raise ArtifactError(f"manifest: expected at most {most} {what}, found {found}")


def _graphs(model: onnx.ModelProto) -> Iterator[tuple[onnx.GraphProto | onnx.FunctionProto, int]]:
    """The graph, its functions, and those inside their nodes, with how deep they lie."""
    waiting: list[tuple[onnx.GraphProto | onnx.FunctionProto, int]] = [(model.graph, 0)]
    waiting += [(function, 0) for function in model.functions]
    while waiting:
        graph, depth = waiting.pop()
        yield graph, depth
        for node in graph.node:
            for attribute in node.attribute:
                inside = [attribute.g] if attribute.HasField("g") else []
                waiting += [(each, depth + 1) for each in (*inside, *attribute.graphs)]


def _check_weights(graph: onnx.GraphProto, made_of: dict[str, onnx.TensorProto]) -> None:
    sparse = [part for each in graph.sparse_initializer for part in (each.values, each.indices)]
    for tensor in (*graph.initializer, *sparse):
        _check_tensor(tensor)
        made_of[tensor.name] = tensor


def _check_nodes(
    nodes: Iterable[onnx.NodeProto], own: set[tuple[str, str]], made_of: dict[str, onnx.TensorProto]
) -> None:
    for node in nodes:
        if node.domain not in _ONNX and (node.domain, node.op_type) not in own:
            raise ArtifactError(
                f"graph node {node.name!r}: expected an operator of ONNX, found {node.domain}.{node.op_type}"
            )
        for attribute in node.attribute:
            tensors = [attribute.t] if attribute.HasField("t") else []
            if attribute.HasField("sparse_tensor"):
                tensors += [attribute.sparse_tensor.values, attribute.sparse_tensor.indices]
            for tensor in (*tensors, *attribute.tensors):
                _check_tensor(tensor)
                if node.op_type == "Constant":
                    made_of.update(dict.fromkeys(node.output, tensor))
        if (
            node.op_type == "ConstantOfShape"
            and (shape := made_of.get(next(iter(node.input), ""))) is not None
        ):
            _check_made(node, shape)


def _check_tensor(tensor: onnx.TensorProto) -> None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        place = next((each.value for each in tensor.external_data if each.key == "location"), "")
        expected = "all weights in model.onnx itself"
        raise ArtifactError(f"graph tensor {tensor.name!r}: expected {expected}, found them in {place!r}")


def _check_made(node: onnx.NodeProto, shape: onnx.TensorProto) -> None:
    try:
        size = math.prod(int(each) for each in numpy_helper.to_array(shape).ravel()[:64])
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"graph node {node.name!r}: its shape cannot be read") from error
    if size > MAX_MADE:
        raise ArtifactError(f"graph node {node.name!r}: expected at most {MAX_MADE} numbers, found {size}")
