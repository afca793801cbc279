"""A model as the Open Inference Protocol tells of it: tensors, metadata, configuration.

The states are the server's own: no tensor of theirs is listed, sent or asked for.
"""

from dataclasses import dataclass

from models.artifact import FORECAST, ROWS
from models.manifest import Manifest
from service.errors import InvalidRequest, UnknownVersion
from service.rpc.inference import grpc_service_pb2 as pb
from service.sessions.worker import SessionWorker

SEQUENCE_IDS, POSITIONS, TIMES_US = "sequence_ids", "positions", "times_us"
ERRORS = "errors"
PLATFORM = "onnxruntime_onnx"
_BACKEND = "onnxruntime"
_MAX_INT32 = (1 << 31) - 1
_TYPES = {
    "FP32": pb.TYPE_FP32,
    "FP64": pb.TYPE_FP64,
    "INT64": pb.TYPE_INT64,
    "BYTES": pb.TYPE_STRING,
}


@dataclass(frozen=True, slots=True)
class InferenceLimits:
    """Bounds of requests; see the settings of the same names."""

    max_batch_size: int
    max_rows_per_chunk: int
    max_message_bytes: int
    max_sessions: int
    session_ttl_s: float


@dataclass(frozen=True, slots=True)
class Tensor:
    """One that is sent or given.

    Attributes:
        dims: without the batch dimension, which comes first; -1 is any size.
        is_extra: whether it is ours, taken or given on demand but not listed: the protocol's metadata cannot
            say that a tensor may be left out, and tools fill in all that is listed.
        least: what the last dimension may be instead: what is known ahead need not be sent.
    """

    name: str
    datatype: str
    dims: tuple[int, ...]
    is_extra: bool = False
    least: int | None = None


def inputs(manifest: Manifest) -> list[Tensor]:
    """What a request may hold."""
    layout = manifest.row_layout
    return [
        Tensor(ROWS, "FP64", (-1, layout.num_values), least=layout.num_features),
        Tensor(TIMES_US, "INT64", (-1,), is_extra=True),
        Tensor(POSITIONS, "INT64", (1,), is_extra=True),
        Tensor(SEQUENCE_IDS, "BYTES", (1,), is_extra=True),
    ]


def outputs(manifest: Manifest) -> list[Tensor]:
    """What an answer may hold, in its order where a request does not choose."""
    return [
        Tensor(FORECAST, "FP32", (manifest.horizon, manifest.num_columns)),
        Tensor(POSITIONS, "INT64", (1,)),
        Tensor(ERRORS, "BYTES", (1,), is_extra=True),
    ]


def check_version(worker: SessionWorker, version: str, field: str) -> int:
    """The version that a request names; the one that is served where it names none.

    Raises:
        InvalidRequest: it is no number.
        UnknownVersion: it is not loaded.
    """
    if not version:
        return worker.model.version
    if not (version.isascii() and version.isdecimal() and len(version) < 20):
        raise InvalidRequest(field, repr(version[:64]), "a version's number, or nothing")
    number = int(version)
    if number != worker.model.version and number not in (known := loaded_versions(worker)):
        raise UnknownVersion(worker.model.name, number, known)
    return number


def loaded_versions(worker: SessionWorker) -> list[int]:
    """Ascending."""
    return sorted(loaded.model.version for loaded in worker.versions.all())


def metadata(worker: SessionWorker) -> pb.ModelMetadataResponse:
    """Versions, and tensors with the batch dimension; tensors are the same in all versions."""
    manifest = worker.model.manifest
    return pb.ModelMetadataResponse(
        name=worker.model.name,
        versions=map(str, loaded_versions(worker)),
        platform=PLATFORM,
        inputs=map(_tensor_metadata, _listed(inputs(manifest))),
        outputs=map(_tensor_metadata, _listed(outputs(manifest))),
    )


def config(worker: SessionWorker, limits: InferenceLimits) -> pb.ModelConfig:
    """Tensors without the batch dimension, and that every request belongs to a sequence."""
    manifest = worker.model.manifest
    return pb.ModelConfig(
        name=worker.model.name,
        platform=PLATFORM,
        backend=_BACKEND,
        max_batch_size=limits.max_batch_size,
        input=[
            pb.ModelInput(name=t.name, data_type=_TYPES[t.datatype], dims=t.dims)
            for t in _listed(inputs(manifest))
        ],
        output=[
            pb.ModelOutput(name=t.name, data_type=_TYPES[t.datatype], dims=t.dims)
            for t in _listed(outputs(manifest))
        ],
        sequence_batching=pb.ModelSequenceBatching(
            oldest=pb.ModelSequenceBatching.StrategyOldest(
                max_candidate_sequences=min(limits.max_sessions, _MAX_INT32)
            ),
            max_sequence_idle_microseconds=round(limits.session_ttl_s * 1e6),
        ),
        model_transaction_policy=pb.ModelTransactionPolicy(decoupled=False),
    )


def _listed(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor for tensor in tensors if not tensor.is_extra]


def _tensor_metadata(tensor: Tensor) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(
        name=tensor.name, datatype=tensor.datatype, shape=(-1, *tensor.dims)
    )
