"""`Forecast`: one message, a frame of one entry, one message."""

import asyncio
from collections.abc import Callable, Sequence

import numpy as np

from service.engine.model import ServedModel
from service.engine.runner import Reply
from service.errors import InvalidRequest, StatecastError
from service.rpc import asked
from service.rpc.frames import FrameLimits
from service.rpc.single_rows import SingleRow, SingleRows
from service.security.caller import Tenant
from service.sessions.frame import COUNTS, Frame, FrameResult, Integers
from service.sessions.worker import SessionWorker
from service.store.contract import NO_TIME
from service.telemetry.tracing import TRACE
from statecast import columns
from statecast.v1 import forecast_pb2 as pb


class _UnaryRow(SingleRow):
    """The only row of a call, which waits for `done`."""

    __slots__ = ("counts", "done", "forecast", "model", "new_position", "worker")

    done: "asyncio.Future[None]"
    worker: SessionWorker

    def settled(self, position: int, forecast: bytes | None, counts: Sequence[int]) -> None:
        """See `SingleRow.settled`."""
        self.new_position, self.forecast, self.counts = position, forecast, counts
        self.model = self.worker.model_of(self.slot)
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
    tenant: Tenant,
) -> pb.ForecastResponse:
    """Apply a request's rows. Cancelled before its batch begins, it applies nothing.

    Raises:
        StatecastError: refused; nothing was applied.
    """
    if request.sealed_state:
        raise InvalidRequest("sealed_state", f"{len(request.sealed_state)} bytes", "none without carry_state")
    rows = asked.read(request, worker.model.manifest, limits)
    num_rows = len(rows.values)
    tenant.take(num_rows)
    key = tenant.key(request.session_id)
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    # Rows that are joined with other calls' have no trace of their own.
    if num_rows == 1 and TRACE.get() is None and not rows.is_scored:
        single_rows.check_room()
        slot = worker.table.resolve(key)
        time_us = NO_TIME if rows.times_us is None else int(rows.times_us[0])
        values, reply = rows.values[0].tolist(), rows.reply.for_one_row
        row = _UnaryRow(slot, rows.position, time_us, values, reply, deadline_s)
        row.done, row.worker = done, worker
        single_rows.add(row)
        await _settled(done, row.drop)
        return _encode_row(row, rows.horizon)
    model = worker.model

    def settled(frame: Frame) -> None:
        nonlocal model
        model = worker.model_of(frame.slots.item(0))
        if not done.done():
            done.set_result(None)

    # Rows that were collected came before these.
    single_rows.flush()
    worker.check_room(num_rows)
    slots = np.array([worker.table.resolve(key)])
    frame = frame_of(rows, slots, settled, deadline_s)
    worker.submit(frame)
    await _settled(done, frame.drop)
    return encode(frame.result, rows, model)


async def _settled(done: "asyncio.Future[None]", drop: Callable[[], None]) -> None:
    try:
        await done
    except asyncio.CancelledError:
        drop()
        raise


def frame_of(rows: asked.Asked, slots: Integers, done: Callable[[Frame], object], deadline_s: float) -> Frame:
    """A frame of one entry, in this call's trace; `slots` (1,) is its session."""
    lengths, positions = np.array([len(rows.values)]), np.array([rows.position])
    frame = Frame(slots, lengths, positions, rows.times_us, rows.values, rows.reply, done, deadline_s)
    frame.is_scored, frame.trace = rows.is_scored, TRACE.get()
    return frame


def _encode_row(row: _UnaryRow, horizon: int) -> pb.ForecastResponse:
    response = _response(row.new_position, row.counts, row.model)
    if row.forecast is not None:
        values = np.frombuffer(row.forecast, columns.FORECAST)
        num_columns = row.model.manifest.num_columns
        response.forecasts.add(position=row.new_position, values=values[: horizon * num_columns].tolist())
    return response


def encode(result: FrameResult, rows: asked.Asked, model: ServedModel) -> pb.ForecastResponse:
    """Of a frame's only entry.

    Args:
        model: the version that answered.

    Raises:
        StatecastError: why it was refused.
    """
    if 0 in result.errors:
        raise result.errors[0]
    position = int(result.positions[0])
    response = _response(position, result.counts[:, 0].tolist(), model)
    horizon = rows.horizon
    if rows.reply is Reply.LAST:
        assert result.dense is not None
        response.forecasts.add(position=position, values=result.dense[0, :horizon].ravel().tolist())
    elif rows.reply is Reply.EACH:
        for forecasts, positions in zip(result.forecasts[0], result.forecast_positions[0], strict=True):
            for made_at, each in zip(positions.tolist(), forecasts, strict=True):
                response.forecasts.add(position=made_at, values=each[:horizon].ravel().tolist())
    for scores in result.scores.get(0, ()):
        for position_in, tail in scores.tolist():
            response.anomaly_scores.add(quantile_position=position_in, tail_probability=tail)
    return response


def _response(position: int, counts: Sequence[int], model: ServedModel) -> pb.ForecastResponse:
    response = pb.ForecastResponse(
        position=position,
        quantile_levels=model.manifest.quantile_levels,
        model_version=model.version,
    )
    if any(counts):
        for name, count in zip(COUNTS, counts, strict=True):
            setattr(response, name, count)
    return response
