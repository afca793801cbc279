"""`Forecast`: one message, a frame of one entry, one message."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np

from models.manifest import Manifest
from service.engine.runner import Reply
from service.errors import InvalidRequest, StatecastError
from service.rpc import validation
from service.rpc.frames import FrameLimits
from service.rpc.single_rows import SingleRow, SingleRows
from service.sessions.frame import COUNTS, NO_POSITION, Frame, FrameResult, Integers
from service.sessions.worker import SessionWorker
from service.store.contract import NO_TIME
from statecast import columns
from statecast.v1 import forecast_pb2 as pb


class _UnaryRow(SingleRow):
    """The only row of a call, which waits for `done`."""

    __slots__ = ("counts", "done", "forecast", "new_position")

    done: "asyncio.Future[None]"

    def settled(self, position: int, forecast: bytes | None, counts: Sequence[int]) -> None:
        """See `SingleRow.settled`."""
        self.new_position, self.forecast, self.counts = position, forecast, counts
        if not self.done.done():
            self.done.set_result(None)

    def refused(self, error: StatecastError) -> None:
        """See `SingleRow.refused`."""
        if not self.done.done():
            self.done.set_exception(error)


async def forecast(
    request: pb.ForecastRequest,
    worker: SessionWorker,
    single_rows: SingleRows,
    limits: FrameLimits,
    deadline_s: float,
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
    validation.check_num_rows(num_rows, "rows", limits.max_rows_per_chunk)
    validation.check_reply_size(num_rows, reply, manifest, limits.max_message_bytes)
    values, times = _values(request, manifest), _times(request)
    position = request.position if request.HasField("position") else NO_POSITION
    validation.check_position(position)
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    if num_rows == 1:
        single_rows.check_room()
        slot = worker.table.resolve(request.session_id)
        time_us = NO_TIME if times is None else int(times[0])
        row = _UnaryRow(slot, position, time_us, values[0].tolist(), reply.for_one_row, deadline_s)
        row.done = done
        single_rows.add(row)
        await _settled(done, row.drop)
        return _encode_row(row, worker, horizon)

    def settled(_: object) -> None:
        if not done.done():
            done.set_result(None)

    # Rows that were collected came before these.
    single_rows.flush()
    worker.check_room(num_rows)
    slots = np.array([worker.table.resolve(request.session_id)])
    lengths, positions = np.array([num_rows]), np.array([position])
    frame = Frame(slots, lengths, positions, times, values, reply, settled, deadline_s)
    worker.submit(frame)
    await _settled(done, frame.drop)
    return _encode(frame.result, reply, worker, horizon)


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


def _encode_row(row: _UnaryRow, worker: SessionWorker, horizon: int) -> pb.ForecastResponse:
    response = _response(row.new_position, row.counts, worker)
    if row.forecast is not None:
        values = np.frombuffer(row.forecast, columns.FORECAST)
        num_levels = len(worker.model.manifest.quantile_levels)
        response.forecasts.add(position=row.new_position, values=values[: horizon * num_levels].tolist())
    return response


def _encode(result: FrameResult, reply: Reply, worker: SessionWorker, horizon: int) -> pb.ForecastResponse:
    """Of a frame's only entry."""
    if 0 in result.errors:
        raise result.errors[0]
    position = int(result.positions[0])
    response = _response(position, result.counts[:, 0].tolist(), worker)
    if reply is Reply.LAST:
        assert result.dense is not None
        response.forecasts.add(position=position, values=result.dense[0, :horizon].ravel().tolist())
    elif reply is Reply.EACH:
        for forecasts, positions in zip(result.forecasts[0], result.forecast_positions[0], strict=True):
            for made_at, each in zip(positions.tolist(), forecasts, strict=True):
                response.forecasts.add(position=made_at, values=each[:horizon].ravel().tolist())
    return response


def _response(position: int, counts: Sequence[int], worker: SessionWorker) -> pb.ForecastResponse:
    response = pb.ForecastResponse(
        position=position,
        quantile_levels=worker.model.manifest.quantile_levels,
        model_version=worker.model.version,
    )
    if any(counts):
        for name, count in zip(COUNTS, counts, strict=True):
            setattr(response, name, count)
    return response
