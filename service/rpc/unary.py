"""`Forecast`: one message, a frame of one entry, one message."""

import asyncio

import numpy as np

from models.manifest import Manifest
from service.engine.runner import Reply
from service.errors import InvalidRequest
from service.rpc import validation
from service.sessions.frame import NO_POSITION, Frame, Integers
from service.sessions.worker import SessionWorker
from statecast.v1 import forecast_pb2 as pb


async def forecast(
    request: pb.ForecastRequest, worker: SessionWorker, max_rows: int, max_message_bytes: int
) -> pb.ForecastResponse:
    """Apply a request's rows. Cancelled before its batch begins, it applies nothing.

    Raises:
        StatecastError: refused; nothing was applied.
    """
    manifest = worker.model.manifest
    validation.check_session_id(request.session_id)
    reply = validation.reply_of(request.reply)
    horizon = validation.horizon_of(request.horizon, manifest)
    validation.check_num_rows(len(request.rows), "rows", max_rows)
    validation.check_reply_size(len(request.rows), reply, manifest, max_message_bytes)
    values, times = _values(request, manifest), _times(request)
    worker.check_room(len(values))
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    frame = Frame(
        np.array([worker.table.resolve(request.session_id)]),
        np.array([len(values)]),
        np.array([request.position if request.HasField("position") else NO_POSITION]),
        times,
        values,
        reply,
        lambda _: None if done.done() else done.set_result(None),
    )
    worker.submit(frame)
    try:
        await done
    except asyncio.CancelledError:
        frame.drop()
        raise
    return _encode(frame, worker, horizon)


def _values(request: pb.ForecastRequest, manifest: Manifest) -> "np.ndarray":
    num_features = len(manifest.features)
    for index, row in enumerate(request.rows):
        if len(row.values) != num_features:
            names = ", ".join(feature.name for feature in manifest.features)
            expected = f"{num_features} ({names})"
            raise InvalidRequest(f"rows[{index}].values", f"{len(row.values)} values", expected)
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


def _encode(frame: Frame, worker: SessionWorker, horizon: int) -> pb.ForecastResponse:
    result = frame.result
    if result.errors:
        raise result.errors[0]
    position = int(result.positions[0])
    response = pb.ForecastResponse(
        position=position,
        num_skipped=int(result.num_skipped[0]),
        num_late=int(result.num_late[0]),
        num_missing_steps=int(result.num_missing_steps[0]),
        quantile_levels=worker.model.manifest.quantile_levels,
        model_version=worker.model.version,
    )
    if frame.reply is Reply.LAST:
        assert result.dense is not None
        response.forecasts.add(position=position, values=result.dense[0, :horizon].ravel())
    elif frame.reply is Reply.EACH:
        for forecasts, positions in zip(result.forecasts[0], result.forecast_positions[0], strict=True):
            for made_at, each in zip(positions.tolist(), forecasts, strict=True):
                response.forecasts.add(position=made_at, values=each[:horizon].ravel())
    return response
