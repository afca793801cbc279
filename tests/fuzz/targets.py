"""Readers of what comes from elsewhere, each with the refusals that it may give and no others.

A target takes bytes and returns whether they were understood. Any other exception is a finding.
"""

import hashlib
from functools import cache

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from models.artifact import MANIFEST_KEY, ArtifactError, unseal
from models.frequency import Frequency
from models.graph_rules import check_graph, check_size
from models.manifest import FeatureSpec, Manifest, StateSpec, TrainingSummary
from service.errors import StatecastError
from service.rpc import frames
from service.rpc.handles import MAX_HANDLE, Handles
from service.rpc.inference import grpc_service_pb2 as oip
from service.rpc.oip import asked
from service.rpc.oip.contract import InferenceLimits
from service.rpc.row_message import RowShapes
from service.sessions import exported
from service.sessions.frame import FIRST_TIME_US, LAST_TIME_US
from statecast.v1 import forecast_pb2 as pb
from tests.fakes import HandClock

MAX_ROWS = 2


@cache
def manifest() -> Manifest:
    """Of a model of two features, written by hand: fuzzing needs no torch."""
    return Manifest.model_validate(
        {
            "name": "m",
            "digest": "sha256:" + "0" * 64,
            "cell": "lstm",
            "features": [FeatureSpec(name="y"), FeatureSpec(name="kind", categories=("a", "b"))],
            "frequency": "h",
            "season_length": 24,
            "horizon": 4,
            "quantile_levels": [0.1, 0.5, 0.9],
            "states": [
                StateSpec(name="h", shape=(2, 3), dtype="float32"),
                StateSpec(name="n", shape=(1,), dtype="int64"),
            ],
            "opset": 20,
            "training": TrainingSummary(
                num_series=1, num_rows=1, num_missing=0, first_time="2024-01-01", last_time="2024-01-02"
            ),
            "backtest": {},
            "parity_error": 0.0,
        }
    )


class _Model:
    """What `frames.accept` asks of a model."""

    manifest = manifest()
    frequency = Frequency.parse("h")
    version = 1


class _Worker:
    """Takes frames and steps nothing."""

    def __init__(self) -> None:
        from service.store.table import SessionTable

        self.model = _Model()
        self.table = SessionTable("m", capacity=256, ttl_s=1e9, clock=HandClock())
        self.frames = []

    def check_room(self, num_rows: int) -> None:
        """There is always room."""

    def submit(self, frame) -> None:
        """Keep it."""
        self.frames.append(frame)


def stream_message(content: bytes) -> bool:
    """A message of `StreamForecasts`: handles are named, the frame's columns are read and checked."""
    worker, handles = _Worker(), Handles()
    for handle in (0, 1, 2, MAX_HANDLE - 1):
        handles.name(handle, f"s{handle}")
    limits = frames.FrameLimits(MAX_ROWS, 1 << 16)
    try:
        request = pb.StreamForecastsRequest.FromString(content)
        for session in request.sessions:
            if session.handle < MAX_HANDLE:
                handles.name(session.handle, session.session_id or "s")
        if not request.HasField("frame"):
            return False
        accepted = frames.accept(request.frame, handles, worker, limits, lambda _: None)
    except (DecodeError, StatecastError):
        return False
    for frame in worker.frames:
        assert len(frame.slots) == len(frame.lengths) == len(frame.positions)
        assert frame.lengths.sum() == len(frame.values)
        assert 1 <= frame.lengths.min() <= frame.lengths.max() <= MAX_ROWS
        assert frame.values.shape[1] == 2
        assert not np.isinf(frame.values).any()
        if frame.times_us is not None:
            assert ((frame.times_us >= FIRST_TIME_US) & (frame.times_us <= LAST_TIME_US)).all()
    assert accepted.num_entries == len(accepted.errors) + sum(len(frame.slots) for frame in worker.frames)
    return bool(worker.frames)


def row_shapes(content: bytes) -> bool:
    """A message and the one after it by the short way: it reads what protobuf does, or leaves it alone."""
    shapes = RowShapes()
    half = len(content) // 2
    read = False
    for each in (content[:half], content[half:], content[:half]):
        try:
            request = pb.StreamForecastsRequest.FromString(each)
        except DecodeError:
            assert shapes.read(each) is None
            continue
        known = shapes.read(each)
        if known is not None:
            row = known[1]
            read = True
            assert row.handle == int.from_bytes(request.frame.handles, "little")
            assert np.array(row.values).tobytes() == request.frame.values
        shapes.learn(each, request)
    return read


def imported_state(content: bytes) -> bool:
    """Bytes of `ImportSession`, as they are and with a checksum that is right: anybody can make one."""
    understood = False
    checksum = exported._CHECKSUM_TAG + hashlib.sha256(content).digest()
    for each in (content, content + checksum):
        try:
            message = exported.parse(each, "acme")
            record = exported.record_of(message, "acme\x1fs", manifest())
        except StatecastError:
            continue
        assert len(record.states) == manifest().state_bytes
        assert len(record.recent) % 16 == 0
        understood = True
    return understood


def model_file(content: bytes) -> bool:
    """A model file: ONNX, its manifest, and what graphs from elsewhere may hold."""
    try:
        graph, found = unseal(content)
        check_size(found)
        check_graph(graph)
    except ArtifactError:
        return False
    return True


def manifest_json(content: bytes) -> bool:
    """A manifest, in a file that has nothing else."""
    try:
        return model_file(in_a_file(content.decode()))
    except UnicodeDecodeError:
        return False


def in_a_file(text: str) -> bytes:
    """A model file of a manifest and no graph."""
    model = onnx.ModelProto(ir_version=8)
    model.metadata_props.add(key=MANIFEST_KEY, value=text)
    return model.SerializeToString()


def infer_request(content: bytes) -> bool:
    """A `ModelInfer` request."""
    limits = InferenceLimits(8, MAX_ROWS, 1 << 16, 100, 60.0)
    try:
        found = asked.read(oip.ModelInferRequest.FromString(content), manifest(), limits)
    except (DecodeError, StatecastError):
        return False
    assert 1 <= found.values.shape[0] <= 8
    assert 1 <= found.values.shape[1] <= MAX_ROWS
    return True


TARGETS = {
    target.__name__: target
    for target in (stream_message, row_shapes, imported_state, model_file, manifest_json, infer_request)
}
