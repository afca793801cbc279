"""Rows for sessions that the page then shows."""

import grpc
import numpy as np

from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import forecast_pb2_grpc
from tests.frames import frame, opening


def open_sessions(server, model, session_ids, num_rows=1, num_features=2):
    """Open many sessions with so many rows each, by one frame of a stream."""
    values = np.random.default_rng(0).normal(size=(len(session_ids) * num_rows, num_features))
    handles, lengths = range(len(session_ids)), [num_rows] * len(session_ids)
    requests = [opening(model, *session_ids), frame(handles, values, lengths=lengths, reply=pb.REPLY_NONE)]
    with grpc.insecure_channel(server.address) as channel:
        (answer,) = forecast_pb2_grpc.ForecastServiceStub(channel).StreamForecasts(iter(requests))
    assert not answer.entry_errors
    assert not answer.HasField("frame_error")
