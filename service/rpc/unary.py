"""`Forecast`: one message, a frame of one entry, one message."""

import asyncio
from collections.abc import Callable

import numpy as np

from models.manifest import Manifest
from service.engine.runner import Reply
from service.errors import InvalidRequest
from service.rpc import validation
from service.rpc.single_rows import SingleRow, SingleRows
from service.sessions.frame import COUNTS, NO_POSITION, Frame, FrameResult, Integers
from service.sessions.worker import SessionWorker
from service.store.table import NO_TIME
from statecast.v1 import forecast_pb2 as pb


async def forecast(
    request: pb.ForecastRequest,
    worker: SessionWorker,
    single_rows: SingleRows,
    max_rows: int,
    max_message_bytes: int,
) -> pb.ForecastResponse:
    """Apply a request's rows. Cancelled before its batch begins, it applies nothing.

    Raises:
        StatecastError: refused; nothing was applied.
    """
    manifest = worker.model.manifest
    validation.check_session_id(request.session_id)
    reply = validation.reply_of(request.reply)
    horizon = validation.horizon_of(request.horizon, manifest)
    num_rows = len(request.rows)
    validation.check_num_rows(num_rows, "rows", max_rows)
    validation.check_reply_size(num_rows, reply, manifest, max_message_bytes)
    values, times = _values(request, manifest), _times(request)
    position = request.position if request.HasField("position") else NO_POSITION
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settled(_: object = None) -> None:
        if not done.done():
            done.set_result(None)

    if num_rows == 1:
        reply = reply.for_one_row
        time_us = NO_TIME if times is None else int(times[0])
        single_rows.check_room()
        slot = worker.table.resolve(request.session_id)
        row = SingleRow(slot, position, time_us, values.tobytes(), settled)
        single_rows.add(row, reply)
        await _settled(done, row.drop)
        return _encode(row.result, row.entry, reply, worker, horizon)
    worker.check_room(num_rows)
    single_rows.flush()
    slots = np.array([worker.table.resolve(request.session_id)])
    frame = Frame(slots, np.array([num_rows]), np.array([position]), times, values, reply, settled)
    worker.submit(frame)
    await _settled(done, frame.drop)
    return _encode(frame.result, 0, reply, worker, horizon)


async def _settled(done: "asyncio.Future[None]", drop: Callable[[], None]) -> None:
    try:
        await done
    except asyncio.CancelledError:
        drop()
        raise


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


def _encode(
    result: FrameResult, entry: int, reply: Reply, worker: SessionWorker, horizon: int
) -> pb.ForecastResponse:
    if entry in result.errors:
        raise result.errors[entry]
    position = int(result.positions[entry])
    response = pb.ForecastResponse(
        position=position,
        quantile_levels=worker.model.manifest.quantile_levels,
        model_version=worker.model.version,
    )
    if result.has_counts:
        for name, count in zip(COUNTS, result.counts[:, entry].tolist(), strict=True):
            setattr(response, name, count)
    if reply is Reply.LAST:
        assert result.dense is not None
        response.forecasts.add(position=position, values=result.dense[entry, :horizon].ravel().tolist())
    elif reply is Reply.EACH:
        for forecasts, positions in zip(
            result.forecasts[entry], result.forecast_positions[entry], strict=True
        ):
            for made_at, each in zip(positions.tolist(), forecasts, strict=True):
                response.forecasts.add(position=made_at, values=each[:horizon].ravel().tolist())
    return response
