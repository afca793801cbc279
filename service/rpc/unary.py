"""`Forecast`: one message to one chunk and back."""

import numpy as np

from models.manifest import Manifest
from service.errors import InvalidRequest
from service.rpc import validation
from service.sessions.chunk import Applied, Chunk, Times
from service.sessions.worker import SessionWorker
from statecast.v1 import forecast_pb2 as pb


def decode(request: pb.ForecastRequest, manifest: Manifest, max_rows: int, max_message_bytes: int) -> Chunk:
    """A checked chunk.

    Raises:
        InvalidRequest: names the field.
    """
    validation.check_session_id(request.session_id)
    reply = validation.reply_of(request.reply)
    validation.horizon_of(request.horizon, manifest)
    validation.check_num_rows(len(request.rows), "rows", max_rows)
    validation.check_reply_size(len(request.rows), reply, manifest, max_message_bytes)
    num_features = len(manifest.features)
    for index, row in enumerate(request.rows):
        if len(row.values) != num_features:
            names = ", ".join(feature.name for feature in manifest.features)
            expected = f"{num_features} ({names})"
            raise InvalidRequest(f"rows[{index}].values", f"{len(row.values)} values", expected)
    values = np.array([row.values for row in request.rows], np.float64)
    validation.check_values(values, manifest, "rows: values")
    position = request.position if request.HasField("position") else None
    return Chunk(request.session_id, values, _times(request), position, reply)


def _times(request: pb.ForecastRequest) -> Times | None:
    with_time = [row.HasField("time_us") for row in request.rows]
    if not any(with_time):
        return None
    if not all(with_time):
        row = with_time.index(False)
        raise InvalidRequest(f"rows[{row}].time_us", "none", "a time for every row, or for no row")
    times = np.array([row.time_us for row in request.rows], np.int64)
    validation.check_times(times, "rows: time_us")
    return times


def encode(applied: Applied, worker: SessionWorker, horizon: int) -> pb.ForecastResponse:
    """The response; forecasts are cut to `horizon` steps."""
    return pb.ForecastResponse(
        position=applied.position,
        num_skipped=applied.num_skipped,
        num_late=applied.num_late,
        num_missing_steps=applied.num_missing_steps,
        forecasts=[
            pb.Forecast(position=int(position), values=forecast[:horizon].ravel())
            for position, forecast in zip(applied.forecast_positions, applied.forecasts, strict=True)
        ],
        quantile_levels=worker.model.manifest.quantile_levels,
        model_version=worker.model.version,
    )
