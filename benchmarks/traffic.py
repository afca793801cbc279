"""What the lanes carry: frames, single rows and unary requests, prepared before the clock starts."""

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.bare import Bare
from benchmarks.load import WrongReply
from benchmarks.model import NAME
from statecast import columns
from statecast.v1 import forecast_pb2 as pb

STREAM_PATH = "/statecast.v1.ForecastService/StreamForecasts"
UNARY_PATH = "/statecast.v1.ForecastService/Forecast"
_RESOURCE_EXHAUSTED = 8
_NUM_COMPARED = 4
_HANDLES_PER_MESSAGE = 10_000
# Found again in a serialised message, to be overwritten.
_POSITION_MARK, _VALUE_MARK = 0x5AA5_1234_5678_5AA5, 1.2345678901234567e-200


def values_of(sessions: npt.NDArray[np.int64], position: int) -> npt.NDArray[np.float64]:
    """The row at a position of each session: known to whoever checks, different for each session."""
    return 10.0 + (sessions % 97) / 7.0 + (position % 2) * (1.0 + (sessions % 13) / 5.0)


def compare(
    bare: Bare, sessions: npt.NDArray[np.int64], num_rows: int, found: npt.NDArray[np.float32]
) -> None:
    """Forecasts (B, K, Q) of sessions after `num_rows` rows, against ONNX Runtime alone.

    Raises:
        WrongReply: they differ.
    """
    rows = np.stack([values_of(sessions, position) for position in range(num_rows)], axis=1)
    expected = bare.replay(rows)
    if not np.allclose(found, expected, rtol=1e-3, atol=1e-3):
        worst = np.abs(found - expected).max()
        raise WrongReply(f"forecasts after {num_rows} rows differ from ONNX Runtime's by {worst}")


def naming(prefix: str, sessions: npt.NDArray[np.int64], first_handle: int = 0) -> Iterator[bytes]:
    """Requests that name sessions; handles count from `first_handle`."""
    for start in range(0, len(sessions), _HANDLES_PER_MESSAGE):
        some = sessions[start : start + _HANDLES_PER_MESSAGE].tolist()
        handles = [
            pb.SessionHandle(handle=first_handle + start + index, model=NAME, session_id=f"{prefix}{session}")
            for index, session in enumerate(some)
        ]
        yield pb.StreamForecastsRequest(sessions=handles).SerializeToString()


def frame(
    handles: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    reply: pb.Reply,
    *,
    position: int | None = None,
    num_rows: int = 1,
) -> bytes:
    """A request with a frame: `num_rows` rows for each handle, `position` the same for all."""
    made = pb.Frame(
        id=1,
        handles=columns.pack(handles, columns.HANDLE),
        values=columns.pack(values, columns.VALUE),
        reply=reply,
    )
    if position is not None:
        made.positions = columns.pack(np.full(len(handles), position), columns.POSITION)
    if num_rows > 1:
        made.lengths = columns.pack(np.full(len(handles), num_rows), columns.LENGTH)
    return pb.StreamForecastsRequest(frame=made).SerializeToString()


def decode(reply: bytes) -> pb.StreamForecastsResponse:
    """A response in which nothing was refused.

    Raises:
        WrongReply: something was.
    """
    response = pb.StreamForecastsResponse.FromString(reply)
    if response.HasField("frame_error") or response.entry_errors:
        raise WrongReply(f"refused: {response.frame_error or response.entry_errors[0]}")
    return response


def forecasts_of(response: pb.StreamForecastsResponse) -> npt.NDArray[np.float32]:
    """(N, K, Q)."""
    found: npt.NDArray[np.float32] = columns.unpack(response.forecasts, columns.FORECAST, "forecasts")
    return found.reshape(-1, response.horizon, response.num_quantile_levels)


def refused_entries(reply: bytes, num_entries: int) -> int:
    """Entries that a response refuses for want of room.

    Raises:
        WrongReply: it refuses for another reason.
    """
    response = pb.StreamForecastsResponse.FromString(reply)
    errors = [response.frame_error] if response.HasField("frame_error") else list(response.entry_errors)
    wrong = [error for error in errors if error.code != _RESOURCE_EXHAUSTED]
    if wrong or not errors:
        raise WrongReply(f"neither whole nor refused for want of room: {wrong[:1]}")
    return num_entries if response.HasField("frame_error") else len(errors)


class Frames:
    """Frames of `size` sessions over one stream that cover all sessions again and again.

    Sessions are grouped at random, so that a frame's states lie all over the arena. Positions are
    sent and count on from 1: every session was opened with one row.
    """

    def __init__(self, bare: Bare, num_sessions: int, size: int) -> None:
        self._bare = bare
        self.entries_per_message = size
        self._groups = np.random.default_rng(0).permutation(num_sessions).reshape(-1, size)
        self._templates = [
            [
                frame(group, values_of(group, parity), pb.REPLY_LAST, position=_POSITION_MARK)
                for group in self._groups
            ]
            for parity in (0, 1)
        ]
        first = self._templates[0][0]
        observing = frame(
            self._groups[0], values_of(self._groups[0], 0), pb.REPLY_NONE, position=_POSITION_MARK
        )
        self._reply_at = next(
            at for at, (one, other) in enumerate(zip(first, observing, strict=True)) if one != other
        )
        self._positions_at = first.index(_POSITION_MARK.to_bytes(8, "little"))
        self._position, self._positions = -1, b""
        self.ask(pb.REPLY_LAST)

    def ask(self, reply: pb.Reply) -> None:
        """Which forecasts the messages ask for from now on: REPLY_LAST or REPLY_NONE."""
        self._reply = reply
        manifest = self._bare.manifest
        forecast_bytes = 4 * manifest.horizon * len(manifest.quantile_levels)
        self.reply_bytes = self.entries_per_message * (8 + (forecast_bytes if reply == pb.REPLY_LAST else 0))

    def message(self, _lane: int, number: int) -> bytes:
        """See `Traffic.message`: the groups in turn, one row further each time round."""
        turn, group = divmod(number, len(self._groups))
        if turn + 1 != self._position:
            self._position = turn + 1
            self._positions = columns.pack(np.full(self.entries_per_message, turn + 1), columns.POSITION)
        template, at = self._templates[self._position % 2][group], self._positions_at
        rest, reply_at = at + len(self._positions), self._reply_at
        return b"".join(
            (
                template[:at],
                self._positions,
                template[rest:reply_at],
                bytes((self._reply,)),
                template[reply_at + 1 :],
            )
        )

    def check(self, _lane: int, number: int, reply: bytes) -> None:
        """See `Traffic.check`: all positions, and some forecasts."""
        turn, group = divmod(number, len(self._groups))
        response = decode(reply)
        positions = columns.unpack(response.positions, columns.POSITION, "positions")
        if len(positions) != self.entries_per_message or (positions != turn + 2).any():
            raise WrongReply(f"positions {positions}, expected {turn + 2}")
        if self._reply == pb.REPLY_LAST:
            some = self._groups[group][:_NUM_COMPARED]
            compare(self._bare, some, turn + 2, forecasts_of(response)[:_NUM_COMPARED])

    def num_refused(self, reply: bytes) -> int:
        """See `Traffic.num_refused`."""
        return refused_entries(reply, self.entries_per_message)


class SmallFrames:
    """A stream a lane, each with `size` sessions of its own that every message advances; no positions."""

    def __init__(self, bare: Bare, prefix: str, num_lanes: int, size: int) -> None:
        self.entries_per_message = size
        handles = np.arange(size)
        self._message = frame(handles, values_of(handles, 0), pb.REPLY_LAST)
        self.reply_bytes = size * (8 + 4 * bare.manifest.horizon * len(bare.manifest.quantile_levels))
        self.openings = [next(naming(f"{prefix}{lane}-", handles)) for lane in range(num_lanes)]

    def message(self, _lane: int, _number: int) -> bytes:
        """See `Traffic.message`."""
        return self._message

    def check(self, _lane: int, _number: int, reply: bytes) -> None:
        """See `Traffic.check`: nothing was refused, every entry has a forecast that is a number."""
        if not np.isfinite(forecasts_of(decode(reply))).all():
            raise WrongReply("a forecast is not a number")

    def num_refused(self, reply: bytes) -> int:
        """See `Traffic.num_refused`."""
        return refused_entries(reply, self.entries_per_message)


class Histories:
    """Frames that bring `num_rows` rows, an even number, for each of `size` sessions at once."""

    def __init__(self, bare: Bare, size: int, num_rows: int) -> None:
        self._bare, self._size, self._num_rows = bare, size, num_rows
        self.entries_per_message = size * num_rows
        sessions = np.arange(size)
        rows = np.stack([values_of(sessions, position) for position in range(num_rows)], axis=1)
        self._message = frame(sessions, rows, pb.REPLY_LAST, num_rows=num_rows)
        self.reply_bytes = size * (8 + 4 * bare.manifest.horizon * len(bare.manifest.quantile_levels))

    def openings(self, prefix: str) -> Iterator[bytes]:
        """Requests that name the sessions."""
        return naming(prefix, np.arange(self._size))

    def message(self, _lane: int, _number: int) -> bytes:
        """See `Traffic.message`."""
        return self._message

    def check(self, _lane: int, number: int, reply: bytes) -> None:
        """See `Traffic.check`."""
        num_rows = (number + 1) * self._num_rows
        response = decode(reply)
        positions = columns.unpack(response.positions, columns.POSITION, "positions")
        if (positions != num_rows).any():
            raise WrongReply(f"positions {positions}, expected {num_rows}")
        compare(self._bare, np.arange(_NUM_COMPARED), num_rows, forecasts_of(response)[:_NUM_COMPARED])

    def num_refused(self, reply: bytes) -> int:
        """See `Traffic.num_refused`."""
        raise WrongReply(f"refused: {decode(reply)}")


class SingleRows:
    """One session a lane, one row a message, over streams; handle 0 of each stream is its session."""

    entries_per_message = 1

    def __init__(self, bare: Bare, prefix: str, num_lanes: int) -> None:
        self._bare = bare
        self._sessions = np.arange(num_lanes)
        template = frame(
            np.zeros(1, np.int64), np.array([_VALUE_MARK]), pb.REPLY_LAST, position=_POSITION_MARK
        )
        self._position_at = template.index(_POSITION_MARK.to_bytes(8, "little"))
        self._value_at = template.index(struct.pack("<d", _VALUE_MARK))
        self._template = bytearray(template)
        self._values = [values_of(self._sessions, parity).tolist() for parity in (0, 1)]
        self.openings = [next(naming(prefix, self._sessions[lane : lane + 1])) for lane in range(num_lanes)]
        self.reply_bytes = 8 + 4 * bare.manifest.horizon * len(bare.manifest.quantile_levels)

    def message(self, lane: int, number: int) -> bytes:
        """See `Traffic.message`."""
        struct.pack_into("<q", self._template, self._position_at, number)
        struct.pack_into("<d", self._template, self._value_at, self._values[number % 2][lane])
        return bytes(self._template)

    def check(self, lane: int, number: int, reply: bytes) -> None:
        """See `Traffic.check`."""
        response = decode(reply)
        position = int.from_bytes(response.positions, "little")
        if position != number + 1:
            raise WrongReply(f"position {position}, expected {number + 1}")
        compare(self._bare, self._sessions[lane : lane + 1], position, forecasts_of(response))

    def num_refused(self, reply: bytes) -> int:
        """See `Traffic.num_refused`."""
        return refused_entries(reply, 1)


class UnaryRows:
    """One session a lane, one row a call of `Forecast`."""

    entries_per_message = 1

    def __init__(self, bare: Bare, prefix: str, num_lanes: int) -> None:
        self._bare = bare
        self._sessions = np.arange(num_lanes)
        self._values = [values_of(self._sessions, parity).tolist() for parity in (0, 1)]
        self.session_ids = [f"{prefix}{lane}" for lane in range(num_lanes)]
        self._requests = [
            pb.ForecastRequest(model=NAME, session_id=name, rows=[pb.Row()], reply=pb.REPLY_LAST)
            for name in self.session_ids
        ]
        self.reply_bytes = 4 * bare.manifest.horizon * len(bare.manifest.quantile_levels)

    def message(self, lane: int, number: int) -> bytes:
        """See `Traffic.message`."""
        request = self._requests[lane]
        request.position = number
        request.rows[0].values[:] = (self._values[number % 2][lane],)
        return request.SerializeToString()

    def check(self, lane: int, number: int, reply: bytes) -> None:
        """See `Traffic.check`."""
        response = pb.ForecastResponse.FromString(reply)
        if response.position != number + 1 or len(response.forecasts) != 1:
            raise WrongReply(f"position {response.position}, expected {number + 1}")
        shape = (1, self._bare.manifest.horizon, len(self._bare.manifest.quantile_levels))
        found = np.array(response.forecasts[0].values, np.float32).reshape(shape)
        compare(self._bare, self._sessions[lane : lane + 1], number + 1, found)

    def num_refused(self, reply: bytes) -> int:
        """See `Traffic.num_refused`: a refused call has no reply at all."""
        raise WrongReply(f"a reply of {len(reply)} bytes")


class Echoed:
    """The messages of another traffic, answered by the echo with as many bytes."""

    def __init__(self, traffic: SingleRows | UnaryRows, reply_bytes: int) -> None:
        self._traffic = traffic
        self.reply_bytes = reply_bytes
        self.entries_per_message = 1

    def message(self, lane: int, number: int) -> bytes:
        """See `Traffic.message`."""
        return self._traffic.message(lane, number)

    def check(self, _lane: int, _number: int, reply: bytes) -> None:
        """See `Traffic.check`."""
        if len(reply) != self.reply_bytes:
            raise WrongReply(f"an echo of {len(reply)} bytes, expected {self.reply_bytes}")

    def num_refused(self, reply: bytes) -> int:
        """See `Traffic.num_refused`: the echo refuses nothing."""
        raise WrongReply(f"an echo of {len(reply)} bytes")
