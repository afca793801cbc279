"""Inputs that each target understands: what fuzzing begins with, and changes."""

import json
import struct

from service.rpc.inference import grpc_service_pb2 as oip
from service.sessions import exported
from service.store.contract import Record
from statecast.v1 import forecast_pb2 as pb
from tests.fuzz.targets import manifest
from tests.oip import infer_request


def seeds() -> dict[str, list[bytes]]:
    """By the target's name."""
    record = Record("s", manifest().digest, 3, 1_700_000_000_000_000, bytes(32), bytes(16))
    message = exported.to_bytes(record, manifest())
    row = pb.StreamForecastsRequest(frame=_frame([0], [[1.0, 1.0]], id=7)).SerializeToString()
    return {
        "stream_message": [request.SerializeToString() for request in _requests()],
        "row_shapes": [row + row],
        "imported_state": [message, message[:-34]],
        "model_file": [],
        "manifest_json": [json.dumps(manifest().model_dump(mode="json")).encode()],
        "infer_request": [each.SerializeToString() for each in _inferences()],
    }


def _frame(handles, rows, **more):
    values = [value for row in rows for value in row]
    return pb.Frame(
        handles=struct.pack(f"<{len(handles)}I", *handles),
        values=struct.pack(f"<{len(values)}d", *values),
        **more,
    )


def _requests():
    named = [pb.SessionHandle(handle=5, model="m", session_id="five")]
    times, positions = struct.pack("<2q", 0, 3_600_000_000), struct.pack("<q", 0)
    yield pb.StreamForecastsRequest(sessions=named, frame=_frame([5, 1], [[1.0, 0.0], [2.0, 1.0]]))
    yield pb.StreamForecastsRequest(
        frame=_frame(
            [0], [[1.0, 0.0], [2.0, 1.0]], lengths=struct.pack("<I", 2), times_us=times, positions=positions
        )
    )
    yield pb.StreamForecastsRequest(frame=_frame([(1 << 24) - 1], [[float("nan"), 0.0]], reply=pb.REPLY_NONE))


def _inferences() -> list[oip.ModelInferRequest]:
    return [
        infer_request([[1.0, 0.0]], "s", start=True, statecast_position=0),
        infer_request([[[1.0, 0.0]], [[1.0, 1.0]]], ids=["a", "b"]),
    ]
