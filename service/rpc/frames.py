"""`StreamForecasts`: packed frames to chunks, and what became of them back to columns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.manifest import Manifest
from service.engine.runner import Reply
from service.errors import InvalidRequest, StatecastError
from service.rpc import validation
from service.rpc.status import status_of
from service.sessions.chunk import Applied, Chunk, Times
from service.sessions.worker import SessionWorker
from statecast import columns
from statecast.v1 import forecast_pb2 as pb

MAX_HANDLE = 1 << 24

Outcome = Applied | StatecastError


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """Bounds of one frame; see the settings of the same names."""

    max_rows_per_chunk: int
    max_message_bytes: int


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A frame whose columns agree: an entry is a chunk, or the reason why it is refused."""

    id: int
    horizon: int
    entries: list[Chunk | StatecastError]

    @property
    def num_rows(self) -> int:
        """Rows to apply."""
        return sum(len(entry.values) for entry in self.entries if isinstance(entry, Chunk))


@dataclass(frozen=True, slots=True)
class _Columns:
    """A frame's columns: N entries, R rows, F features."""

    handles: npt.NDArray[np.uint32]
    lengths: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    times_us: Times | None
    values: npt.NDArray[np.float64]


def decode(
    frame: pb.Frame, sessions: dict[int, str], manifest: Manifest, limits: FrameLimits
) -> DecodedFrame:
    """Check a frame: as a whole, then each entry on its own.

    Args:
        frame: as it came.
        sessions: session ids by handle, of the frame's model.

    Raises:
        InvalidRequest: the columns disagree, or a field of the whole frame is wrong.
    """
    reply = validation.reply_of(frame.reply)
    horizon = validation.horizon_of(frame.horizon, manifest)
    try:
        cols = _columns(frame, len(manifest.features))
    except columns.ColumnError as error:
        raise InvalidRequest(f"frame.{error.field}", error.found, error.expected) from error
    validation.check_reply_size(len(cols.values), reply, manifest, limits.max_message_bytes)
    ends = np.cumsum(cols.lengths)
    entries: list[Chunk | StatecastError] = []
    for index, (start, end) in enumerate(zip(ends - cols.lengths, ends, strict=True)):
        try:
            entries.append(_entry(cols, index, slice(start, end), sessions, manifest, reply, limits))
        except InvalidRequest as error:
            entries.append(error)
    return DecodedFrame(frame.id, horizon, entries)


def _columns(frame: pb.Frame, num_features: int) -> _Columns:
    handles = columns.unpack(frame.handles, columns.HANDLE, "handles")
    count = len(handles)
    if count == 0:
        raise InvalidRequest("frame.handles", "no entries", "at least one")
    lengths = np.ones(count, np.int64)
    if frame.lengths:
        lengths = columns.unpack(frame.lengths, columns.LENGTH, "lengths").astype(np.int64)
        _check_count("lengths", len(lengths), count, "one per entry")
    positions = np.full(count, columns.NO_POSITION, np.int64)
    if frame.positions:
        positions = columns.unpack(frame.positions, columns.POSITION, "positions")
        _check_count("positions", len(positions), count, "one per entry")
    num_rows = int(lengths.sum())
    times = None
    if frame.times_us:
        times = columns.unpack(frame.times_us, columns.TIME_US, "times_us")
        _check_count("times_us", len(times), num_rows, "one per row")
    values = columns.unpack(frame.values, columns.VALUE, "values")
    _check_count("values", len(values), num_rows * num_features, f"{num_rows} rows x {num_features} features")
    return _Columns(handles, lengths, positions, times, values.reshape(num_rows, num_features))


def _check_count(field: str, found: int, expected: int, what: str) -> None:
    if found != expected:
        raise InvalidRequest(f"frame.{field}", f"{found} items", f"{expected} ({what})")


def _entry(
    cols: _Columns,
    index: int,
    rows: slice,
    sessions: dict[int, str],
    manifest: Manifest,
    reply: Reply,
    limits: FrameLimits,
) -> Chunk:
    field = f"frame entry {index}"
    handle, position = int(cols.handles[index]), int(cols.positions[index])
    session_id = sessions.get(handle)
    if session_id is None:
        raise InvalidRequest(f"{field}: handle", handle, "a handle that this stream named in `sessions`")
    if position < columns.NO_POSITION:
        raise InvalidRequest(f"{field}: position", position, "a number of rows, or -1 for none")
    validation.check_num_rows(int(cols.lengths[index]), f"{field}: length", limits.max_rows_per_chunk)
    validation.check_values(cols.values[rows], manifest, f"{field}: values")
    times = None if cols.times_us is None else cols.times_us[rows]
    if times is not None:
        validation.check_times(times, f"{field}: times_us")
    return Chunk(
        session_id, cols.values[rows], times, None if position == columns.NO_POSITION else position, reply
    )


def encode(frame: DecodedFrame, outcomes: list[Outcome], worker: SessionWorker) -> pb.StreamForecastsResponse:
    """The response, entries in the frame's order."""
    manifest = worker.model.manifest
    applied = [outcome if isinstance(outcome, Applied) else None for outcome in outcomes]
    counts = [len(entry.forecasts) if entry else 0 for entry in applied]
    response = pb.StreamForecastsResponse(
        frame_id=frame.id,
        entry_errors=[
            _entry_error(index, outcome)
            for index, outcome in enumerate(outcomes)
            if isinstance(outcome, StatecastError)
        ],
        positions=columns.pack([entry.position if entry else -1 for entry in applied], columns.POSITION),
        num_skipped=_counts([entry.num_skipped if entry else 0 for entry in applied]),
        num_late=_counts([entry.num_late if entry else 0 for entry in applied]),
        num_missing_steps=_counts([entry.num_missing_steps if entry else 0 for entry in applied]),
        horizon=frame.horizon,
        num_quantile_levels=len(manifest.quantile_levels),
        model_version=worker.model.version,
    )
    if counts != [1] * len(counts):
        response.num_forecasts = columns.pack(counts, columns.COUNT)
    made = [entry for entry in applied if entry is not None and len(entry.forecasts)]
    if made:
        forecasts = np.concatenate([entry.forecasts[:, : frame.horizon] for entry in made])
        response.forecasts = columns.pack(forecasts, columns.FORECAST)
    if any(count > 1 for count in counts):
        positions = np.concatenate([entry.forecast_positions for entry in made])
        response.forecast_positions = columns.pack(positions, columns.POSITION)
    return response


def refuse(frame_id: int, error: StatecastError) -> pb.StreamForecastsResponse:
    """The response to a frame of which nothing was applied."""
    status = status_of(error)
    return pb.StreamForecastsResponse(
        frame_id=frame_id,
        frame_error=pb.FrameError(
            code=status.number,
            message=status.message,
            field=status.field,
            retry_after_ms=status.retry_after_ms,
        ),
    )


def _entry_error(index: int, error: StatecastError) -> pb.EntryError:
    status = status_of(error)
    return pb.EntryError(
        entry=index,
        code=status.number,
        message=status.message,
        field=status.field,
        committed_position=status.committed_position,
        retry_after_ms=status.retry_after_ms,
    )


def _counts(counts: list[int]) -> bytes:
    """A column of counts; empty where all are zero."""
    return columns.pack(counts, columns.COUNT) if any(counts) else b""
