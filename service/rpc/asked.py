"""What a `Forecast` request asks for, read and checked."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.manifest import Manifest
from service.engine.runner import Reply
from service.errors import InvalidRequest
from service.rpc import validation
from service.rpc.frames import FrameLimits
from service.rpc.graph_rows import expected_width, graph_rows, is_width
from service.sessions.frame import NO_POSITION, Integers
from statecast.v1 import forecast_pb2 as pb


@dataclass(frozen=True, eq=False, slots=True)
class Asked:
    """Rows for one session, T of them as the graph reads them, and what is to come back.

    Attributes:
        values: (T, W).
        times_us: (T,), or None.
        position: rows consumed before the first, or NO_POSITION.
        horizon: steps to return.
    """

    values: npt.NDArray[np.float64]
    times_us: Integers | None
    position: int
    reply: Reply
    horizon: int
    is_scored: bool = False


def read(request: pb.ForecastRequest, manifest: Manifest, limits: FrameLimits) -> Asked:
    """What a request asks for.

    Raises:
        InvalidRequest: names the field that is wrong.
    """
    validation.check_session_id(request.session_id)
    reply = validation.reply_of(request.reply)
    horizon = validation.horizon_of(request.horizon, manifest)
    validation.check_scores(request.score_anomalies, manifest)
    num_rows = len(request.rows)
    validation.check_num_rows(num_rows, "rows", limits.max_rows_per_chunk)
    validation.check_reply_size(num_rows, reply, manifest, limits.max_message_bytes)
    values, times_us = _values(request, manifest), _times(request)
    position = request.position if request.HasField("position") else NO_POSITION
    validation.check_position(position)
    values = graph_rows(values, times_us, manifest.row_layout)
    return Asked(values, times_us, position, reply, horizon, request.score_anomalies)


def _values(request: pb.ForecastRequest, manifest: Manifest) -> npt.NDArray[np.float64]:
    """(T, F), or (T, `num_values`) where a row tells what is known ahead."""
    layout = manifest.row_layout
    for index, row in enumerate(request.rows):
        if not is_width(len(row.values), layout):
            names = ", ".join(feature.name for feature in manifest.features)
            expected = f"{expected_width(layout)} ({names})"
            raise InvalidRequest(f"rows[{index}].values", f"{len(row.values)} values", expected)
    if layout.future:
        values = np.full((len(request.rows), max(len(row.values) for row in request.rows)), np.nan)
        for index, row in enumerate(request.rows):
            values[index, : len(row.values)] = row.values
    else:
        values = np.array([row.values for row in request.rows], np.float64)
    validation.check_values(values, manifest, "rows: values")
    return values


def _times(request: pb.ForecastRequest) -> Integers | None:
    with_time = [row.HasField("time_us") for row in request.rows]
    if not any(with_time):
        return None
    if not all(with_time):
        row = with_time.index(False)
        raise InvalidRequest(f"rows[{row}].time_us", "none", "a time for every row, or for no row")
    times = np.array([row.time_us for row in request.rows], np.int64)
    validation.check_times(times, "rows: time_us")
    return times
