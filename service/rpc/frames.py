"""`StreamForecasts`: packed frames in, and what became of them back to columns. No loop over entries."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.manifest import Manifest
from models.rows import RowLayout
from service.engine.runner import Reply, Rows
from service.errors import InvalidRequest, QueueFull, StatecastError
from service.rpc import validation, wire
from service.rpc.frame_response import PlainResponses
from service.rpc.graph_rows import expected_width, graph_rows, is_width, num_rows_of
from service.rpc.handles import Handles
from service.rpc.status import status_of
from service.sessions.batch import row_indices, starts_of
from service.sessions.frame import COUNTS, NO_POSITION, Frame, FrameResult, Integers
from service.sessions.worker import SessionWorker
from statecast import columns
from statecast.v1 import forecast_pb2 as pb


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """Bounds of one frame; see the settings of the same names.

    Attributes:
        max_handles: that a tenant's streams may have named, all together.
    """

    max_rows_per_chunk: int
    max_message_bytes: int
    max_handles: int = 1 << 22


@dataclass(eq=False, slots=True)
class Accepted:
    """A frame on its way.

    Attributes:
        id: the caller's number.
        horizon: steps to return.
        num_entries: N, those refused at once counted in.
        errors: by entry, those refused at once.
        frame: the others; None where there are none.
    """

    id: int
    horizon: int
    num_entries: int
    errors: dict[int, StatecastError]
    frame: Frame | None = None


@dataclass(frozen=True, eq=False, slots=True)
class _Columns:
    """A frame's columns: N entries, R rows; `values` as wide as they were sent."""

    handles: npt.NDArray[np.uint32]
    lengths: Integers
    positions: Integers
    times_us: Integers | None
    values: Rows

    def only(self, keep: npt.NDArray[np.intp]) -> "_Columns":
        """The entries that `keep` numbers."""
        rows = row_indices(starts_of(self.lengths)[keep], self.lengths[keep])
        times = None if self.times_us is None else self.times_us[rows]
        return _Columns(
            self.handles[keep], self.lengths[keep], self.positions[keep], times, self.values[rows]
        )


def accept(
    message: pb.Frame,
    handles: Handles,
    worker: SessionWorker,
    limits: FrameLimits,
    done: Callable[[Frame], None],
    deadline_s: float = math.inf,
) -> Accepted:
    """Check a frame, as a whole and entry by entry, and submit what is good of it.

    Raises:
        InvalidRequest: the columns disagree, or a field of the whole frame is wrong.
        QueueFull: too many rows wait already. Nothing was submitted in either case.
    """
    manifest = worker.model.manifest
    layout = manifest.row_layout
    # First of all, and by size alone: a server that is overloaded must refuse cheaply.
    worker.check_room(num_rows_of(message, layout))
    reply = validation.reply_of(message.reply)
    horizon = validation.horizon_of(message.horizon, manifest)
    validation.check_scores(message.score_anomalies, manifest)
    try:
        cols = _columns(message, layout)
    except columns.ColumnError as error:
        raise InvalidRequest(f"frame.{error.field}", error.found, error.expected) from error
    validation.check_reply_size(len(cols.values), reply, manifest, limits.max_message_bytes)
    errors = _entry_errors(cols, manifest, limits.max_rows_per_chunk)
    slots = handles.resolve(cols.handles, worker.table, errors)
    accepted = Accepted(message.id, horizon, len(cols.handles), errors)
    if errors:
        keep = np.setdiff1d(np.arange(len(cols.handles)), list(errors))
        if not len(keep):
            return accepted
        cols, slots = cols.only(keep), slots[keep]
    if len(cols.lengths) == len(cols.values):
        reply = reply.for_one_row
    rows = graph_rows(cols.values, cols.times_us, layout)
    frame = Frame(slots, cols.lengths, cols.positions, cols.times_us, rows, reply, done, deadline_s)
    frame.is_scored = message.score_anomalies
    accepted.frame = frame
    worker.submit(frame)
    return accepted


def _columns(frame: pb.Frame, layout: RowLayout) -> _Columns:
    handles = columns.unpack(frame.handles, columns.HANDLE, "handles")
    count = len(handles)
    if count == 0:
        raise InvalidRequest("frame.handles", "no entries", "at least one")
    if frame.lengths:
        lengths = columns.unpack(frame.lengths, columns.LENGTH, "lengths").astype(np.int64)
        _check_count("lengths", len(lengths), count, "one per entry")
        num_rows = int(lengths.sum())
    else:
        lengths, num_rows = np.ones(count, np.int64), count
    if frame.positions:
        positions = columns.unpack(frame.positions, columns.POSITION, "positions")
        _check_count("positions", len(positions), count, "one per entry")
    else:
        positions = np.full(count, NO_POSITION, np.int64)
    times = None
    if frame.times_us:
        times = columns.unpack(frame.times_us, columns.TIME_US, "times_us")
        _check_count("times_us", len(times), num_rows, "one per row")
    values = columns.unpack(frame.values, columns.VALUE, "values")
    width, rest = divmod(len(values), max(num_rows, 1))
    if rest or not is_width(width, layout):
        width = layout.num_features
        what = f"{num_rows} rows x {expected_width(layout)} features"
        _check_count("values", len(values), num_rows * width, what)
    return _Columns(handles, lengths, positions, times, values.reshape(num_rows, width))


def _check_count(field: str, found: int, expected: int, what: str) -> None:
    if found != expected:
        raise InvalidRequest(f"frame.{field}", f"{found} items", f"{expected} ({what})")


def _entry_errors(cols: _Columns, manifest: Manifest, max_rows: int) -> dict[int, StatecastError]:
    """Entries that are wrong on their own. Columns say whether there are any, a loop says what it is."""
    suspect = (cols.positions < NO_POSITION) | (cols.lengths == 0) | (cols.lengths > max_rows)
    bad_rows = validation.bad_rows(cols.values, manifest)
    if cols.times_us is not None:
        bad_rows |= validation.bad_times(cols.times_us)
    if bad_rows.any():
        suspect |= (
            np.bincount(
                np.repeat(np.arange(len(cols.lengths)), cols.lengths)[bad_rows], minlength=len(cols.lengths)
            )
            > 0
        )
    if not suspect.any():
        return {}
    errors: dict[int, StatecastError] = {}
    starts = starts_of(cols.lengths)
    for entry in np.flatnonzero(suspect).tolist():
        rows = slice(int(starts[entry]), int(starts[entry] + cols.lengths[entry]))
        try:
            _check_entry(cols, entry, rows, manifest, max_rows)
        except InvalidRequest as error:
            errors[entry] = error
    return errors


def _check_entry(cols: _Columns, entry: int, rows: slice, manifest: Manifest, max_rows: int) -> None:
    field = f"frame entry {entry}"
    position = int(cols.positions[entry])
    if position < NO_POSITION:
        raise InvalidRequest(f"{field}: position", position, "a number of rows, or -1 for none")
    validation.check_num_rows(int(cols.lengths[entry]), f"{field}: length", max_rows)
    validation.check_values(cols.values[rows], manifest, f"{field}: values")
    if cols.times_us is not None:
        validation.check_times(cols.times_us[rows], f"{field}: times_us")


def encode(accepted: Accepted, worker: SessionWorker, plain: PlainResponses) -> bytes:
    """The response, entries in the frame's order."""
    frame = accepted.frame
    if frame is not None and not accepted.errors and frame.reply is not Reply.EACH and not frame.is_scored:
        result, horizon = frame.result, accepted.horizon
        if not (result.errors or result.has_counts or frame.dropped is not None):
            frame_id = wire.varint(accepted.id) if accepted.id else b""
            forecasts = None
            if frame.reply is Reply.LAST:
                assert result.dense is not None
                forecasts = np.ascontiguousarray(result.dense[:, :horizon], columns.FORECAST).data
            version = worker.newest_of(frame.slots)
            return plain.write(
                frame_id, result.positions.data, forecasts, accepted.num_entries, horizon, version
            )
    return _message(accepted, worker).SerializeToString()


def _message(accepted: Accepted, worker: SessionWorker) -> pb.StreamForecastsResponse:
    n, frame = accepted.num_entries, accepted.frame
    response = pb.StreamForecastsResponse(
        frame_id=accepted.id,
        horizon=accepted.horizon,
        num_quantile_levels=worker.model.manifest.num_columns,
        model_version=worker.model.version if frame is None else worker.newest_of(frame.slots),
    )
    errors = accepted.errors
    places = np.arange(n)
    if frame is not None:
        if errors:
            places = np.setdiff1d(places, list(errors))
        errors = errors | {int(places[entry]): error for entry, error in frame.result.errors.items()}
        _encode_counts(frame.result, places, n, response)
        _encode_forecasts(frame, places, n, accepted.horizon, response)
        if frame.is_scored:
            _encode_scores(frame.result, places, n, response)
    else:
        response.positions = columns.pack(np.full(n, NO_POSITION), columns.POSITION)
        response.num_forecasts = columns.pack(np.zeros(n), columns.COUNT)
    if errors:
        response.entry_errors.extend(entry_error(entry, errors[entry]) for entry in sorted(errors))
    return response


def _encode_counts(
    result: FrameResult, places: npt.NDArray[np.intp], n: int, response: pb.StreamForecastsResponse
) -> None:
    response.positions = columns.pack(_placed(result.positions, places, n, NO_POSITION), columns.POSITION)
    if not result.has_counts:
        return
    for name, counts in zip(COUNTS, result.counts, strict=True):
        if counts.any():
            setattr(response, name, columns.pack(_placed(counts, places, n, 0), columns.COUNT))


def _encode_forecasts(
    frame: Frame, places: npt.NDArray[np.intp], n: int, horizon: int, response: pb.StreamForecastsResponse
) -> None:
    result = frame.result
    if frame.reply is Reply.NONE:
        response.num_forecasts = columns.pack(np.zeros(n), columns.COUNT)
        return
    if frame.reply is Reply.LAST:
        given = np.ones(len(places), bool)
        given[list(result.errors)] = False
        if not given.all() or len(places) < n:
            response.num_forecasts = columns.pack(_placed(given, places, n, 0), columns.COUNT)
        if given.any():
            assert result.dense is not None
            dense = result.dense if given.all() else result.dense[given]
            response.forecasts = columns.pack(dense[:, :horizon], columns.FORECAST)
        return
    # A history that was refused after some slices has forecasts that nobody is told.
    told = {entry: pieces for entry, pieces in result.forecasts.items() if entry not in result.errors}
    counts = np.array([sum(map(len, told.get(entry, ()))) for entry in range(len(places))])
    response.num_forecasts = columns.pack(_placed(counts, places, n, 0), columns.COUNT)
    if told:
        forecasts = [piece[:, :horizon] for entry in sorted(told) for piece in told[entry]]
        response.forecasts = columns.pack(np.concatenate(forecasts), columns.FORECAST)
        positions = [piece for entry in sorted(told) for piece in result.forecast_positions[entry]]
        response.forecast_positions = columns.pack(np.concatenate(positions), columns.POSITION)


def _encode_scores(
    result: FrameResult, places: npt.NDArray[np.intp], n: int, response: pb.StreamForecastsResponse
) -> None:
    told = {entry: pieces for entry, pieces in result.scores.items() if entry not in result.errors}
    counts = np.array([sum(map(len, told.get(entry, ()))) for entry in range(len(places))])
    response.num_scores = columns.pack(_placed(counts, places, n, 0), columns.COUNT)
    if told:
        scores = [piece for entry in sorted(told) for piece in told[entry]]
        response.anomaly_scores = columns.pack(np.concatenate(scores), columns.FORECAST)


def _placed(
    values: npt.NDArray[np.generic], places: npt.NDArray[np.intp], n: int, other: int
) -> npt.NDArray[np.generic]:
    """Values of the entries that were submitted, at their places among all N."""
    if len(values) == n:
        return values
    placed = np.full(n, other, np.int64)
    placed[places] = values
    return placed


def refuse(frame_id: int, error: StatecastError) -> bytes:
    """The response to a frame of which nothing was applied."""
    if isinstance(error, QueueFull):
        refusal = _queue_full(error.limit, error.retry_after_s)
    else:
        refusal = _refusal(error)
    return wire.number(1, frame_id) + refusal


@functools.lru_cache(maxsize=16)
def _queue_full(limit: int, retry_after_s: float) -> bytes:
    """Kept, because an overloaded server says it again and again."""
    return _refusal(QueueFull(limit, retry_after_s))


def _refusal(error: StatecastError) -> bytes:
    status = status_of(error)
    told = pb.FrameError(
        code=status.number, message=status.message, field=status.field, retry_after_ms=status.retry_after_ms
    )
    return pb.StreamForecastsResponse(frame_error=told).SerializeToString()


def entry_error(index: int, error: StatecastError) -> pb.EntryError:
    """How a refused entry is told."""
    status = status_of(error)
    return pb.EntryError(
        entry=index,
        code=status.number,
        message=status.message,
        field=status.field,
        committed_position=status.committed_position,
        retry_after_ms=status.retry_after_ms,
    )
