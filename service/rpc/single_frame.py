"""Frames of one row, which most messages of many streams are: a short way in and out."""

import math
import struct
from collections.abc import Callable

from service.errors import StatecastError
from service.rpc import validation
from service.rpc.frames import entry_error
from service.rpc.handles import Handles
from service.rpc.single_rows import SingleRow, SingleRows
from service.sessions.frame import COUNTS, NO_POSITION
from service.sessions.worker import SessionWorker
from service.store.table import NO_TIME
from statecast.v1 import forecast_pb2 as pb

_INT64 = struct.Struct("<q")
_REPLIES = {number: reply.for_one_row for number, reply in validation.REPLIES.items()}


class SingleFrames:
    """Takes the frames that are one plain row; all others, the wrong ones too, are for `frames`."""

    def __init__(self, worker: SessionWorker, rows: SingleRows) -> None:
        manifest = worker.model.manifest
        self._worker = worker
        self._rows = rows
        self._row = struct.Struct(f"<{len(manifest.features)}d")
        self._horizon = manifest.horizon
        self._num_levels = len(manifest.quantile_levels)

    def take(
        self, frame: pb.Frame, handle: int, handles: Handles, settled: Callable[[], None]
    ) -> SingleRow | None:
        """Submit a frame's only row; None where the frame is not one plain row.

        Raises:
            QueueFull: too many rows wait already.
        """
        values = frame.values
        reply = _REPLIES.get(frame.reply)
        if (
            len(frame.handles) != 4
            or len(values) != self._row.size
            or frame.lengths
            or frame.horizon > self._horizon
            or reply is None
            or not all(map(math.isfinite, self._row.unpack(values)))
        ):
            return None
        position, time_us = NO_POSITION, NO_TIME
        if frame.positions:
            if len(frame.positions) != 8:
                return None
            (position,) = _INT64.unpack(frame.positions)
            if position < NO_POSITION:
                return None
        if frame.times_us:
            if len(frame.times_us) != 8:
                return None
            (time_us,) = _INT64.unpack(frame.times_us)
            if not validation.FIRST_TIME_US <= time_us <= validation.LAST_TIME_US:
                return None
        self._rows.check_room()
        try:
            slot = handles.resolve_one(handle, self._worker.table)
        except (KeyError, StatecastError):
            return None
        row = SingleRow(slot, position, time_us, values, settled)
        self._rows.add(row, reply)
        return row

    def encode(self, row: SingleRow, frame_id: int, horizon: int, reply: int) -> pb.StreamForecastsResponse:
        """The response, once settled."""
        result, entry = row.result, row.entry
        horizon = horizon or self._horizon
        response = pb.StreamForecastsResponse(
            frame_id=frame_id,
            positions=result.positions[entry].tobytes(),
            horizon=horizon,
            num_quantile_levels=self._num_levels,
            model_version=self._worker.model.version,
        )
        if entry in result.errors:
            response.entry_errors.append(entry_error(0, result.errors[entry]))
        elif reply != pb.REPLY_NONE:
            assert result.dense is not None
            response.forecasts = result.dense[entry, :horizon].tobytes()
            if result.has_counts:
                self._add_counts(row, response)
            return response
        response.num_forecasts = b"\0\0\0\0"
        if result.has_counts:
            self._add_counts(row, response)
        return response

    def _add_counts(self, row: SingleRow, response: pb.StreamForecastsResponse) -> None:
        for name, count in zip(COUNTS, row.result.counts[:, row.entry].tolist(), strict=True):
            if count:
                setattr(response, name, count.to_bytes(4, "little"))
