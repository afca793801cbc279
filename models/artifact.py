"""The ONNX file: a graph, its weights and its manifest in the metadata. No torch here."""

import hashlib
from collections.abc import Mapping, Sequence

import onnx
from pydantic import ValidationError

from models.manifest import Manifest

MANIFEST_KEY = "statecast.manifest"
ROWS = "x"
FORECAST = "forecast"
READ_OUT = "read_out"
ANOMALY = "anomaly"
# Of a row: its quantile position in the forecast before it, and the running tail probability.
NUM_SCORES = 2
# Dimensions after the batch axis; None is the dynamic time axis.
_Shape = tuple[int | None, ...]
_DTYPES = {
    "float32": onnx.TensorProto.FLOAT,
    "float64": onnx.TensorProto.DOUBLE,
    "int64": onnx.TensorProto.INT64,
}


class ArtifactError(ValueError):
    """A file that is not a statecast model, or not a whole one."""


def next_name(state: str) -> str:
    """The output that pairs with state input `state`."""
    return f"{state}_next"


def digest(model: onnx.ModelProto) -> str:
    """sha256 of the graph and its weights, the manifest left out: it holds this digest."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.metadata_props[:]
    return "sha256:" + hashlib.sha256(bare.SerializeToString(deterministic=True)).hexdigest()


def seal(model: onnx.ModelProto, manifest: Manifest) -> bytes:
    """The file's bytes: `model` with `manifest` in its metadata. `model` itself is changed so.

    Raises:
        ArtifactError: the graph does not match the manifest.
    """
    del model.metadata_props[:]
    check(model, manifest)
    onnx.helper.set_model_props(model, {MANIFEST_KEY: manifest.model_dump_json()})
    return model.SerializeToString()


def unseal(content: bytes) -> tuple[onnx.ModelProto, Manifest]:
    """The graph and the manifest of a file, checked against each other.

    Raises:
        ArtifactError: not ONNX, no manifest, or a manifest that is not that of the graph.
    """
    try:
        model = onnx.load_model_from_string(content)
        props = [(prop.key, prop.value) for prop in model.metadata_props]
    except Exception as error:  # protobuf's parsers raise several unrelated types
        raise ArtifactError(f"not an ONNX file: {error}") from error
    text = next((value for key, value in props if key == MANIFEST_KEY), None)
    if text is None:
        raise ArtifactError(f"no manifest: the file's metadata has no {MANIFEST_KEY!r}")
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"]) or "manifest"
        raise ArtifactError(f"manifest field {field}: {fault['msg']}") from error
    check(model, manifest)
    return model, manifest


def check(model: onnx.ModelProto, manifest: Manifest) -> None:
    """Hold the graph against the manifest: digest, names, dtypes and shapes.

    Raises:
        ArtifactError: names the first tensor that differs, what was expected and what was found.
    """
    found_digest = digest(model)
    if found_digest != manifest.digest:
        raise ArtifactError(f"digest: manifest says {manifest.digest}, the graph has {found_digest}")
    width, num_columns = manifest.row_layout.width, manifest.num_columns
    per_session = {state.name: (state.dtype, state.shape) for state in manifest.states}
    inputs: dict[str, tuple[str, _Shape]] = {ROWS: ("float64", (None, width)), **per_session}
    outputs: dict[str, tuple[str, _Shape]] = {
        FORECAST: ("float32", (None, manifest.horizon, num_columns)),
        READ_OUT: ("float32", (manifest.horizon, num_columns)),
        **{next_name(name): spec for name, spec in per_session.items()},
    }
    if manifest.scores_anomalies:
        outputs[ANOMALY] = ("float32", (None, NUM_SCORES))
    _check_tensors("input", list(model.graph.input), inputs)
    _check_tensors("output", list(model.graph.output), outputs)


def _check_tensors(
    side: str,
    found: Sequence[onnx.ValueInfoProto],
    expected: Mapping[str, tuple[str, _Shape]],
) -> None:
    names = [tensor.name for tensor in found]
    if sorted(names) != sorted(expected):
        raise ArtifactError(f"graph {side}s: manifest says {sorted(expected)}, found {sorted(names)}")
    for tensor in found:
        dtype, shape = expected[tensor.name]
        kind = tensor.type.tensor_type
        if kind.elem_type != _DTYPES[dtype]:
            name = onnx.TensorProto.DataType.Name(kind.elem_type)
            raise ArtifactError(f"graph {side} {tensor.name}: expected {dtype}, found {name}")
        # The batch axis comes first and, like time, has no fixed length.
        dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
        if dims != [None, *shape]:
            raise ArtifactError(f"graph {side} {tensor.name}: expected shape {[None, *shape]}, found {dims}")
