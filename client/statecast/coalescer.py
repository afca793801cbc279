"""Calls of one row each, and which of them go into a frame together."""

from collections import deque
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from statecast.frames import Columns, Handles
from statecast.model import Model
from statecast.rows import Chunk, as_chunk, as_horizon, as_values
from statecast.v1 import forecast_pb2


class RowCall:
    """A call that waits to be carried: rows of one session, nearly always one.

    Attributes:
        number: calls are numbered in the order they came.
        timed: whether its rows have times.
        num_rows: as they are counted against bounds; 1 where the model was not known when it came.
        answer: the caller's future, None once it has been told.
    """

    __slots__ = (
        "_chunk", "_raw", "answer", "horizon", "num_rows", "number", "reply", "session_id", "timed"
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        session_id: str,
        rows: Any,
        times: Any,
        reply: forecast_pb2.Reply,
        horizon: int | None,
        answer: Any,
        model: Model | None,
    ) -> None:
        """Checked at once where the model is known.

        Raises:
            ValueError: rows, times or horizon of the wrong kind or shape.
        """
        self.number = number
        self.session_id = session_id
        self.reply = reply
        self.horizon = horizon
        self.timed = times is not None
        self.answer = answer
        self.num_rows = 1
        self._chunk: Chunk | None = None
        # A copy: what the caller does to them later changes nothing.
        self._raw = (rows, times) if model else (deepcopy(rows), deepcopy(times))
        if model is not None:
            self.num_rows = len(self.chunk(model).values)

    def chunk(self, model: Model) -> Chunk:
        """Its rows.

        Raises:
            ValueError: as at the beginning, where the model was not known then, or is another now.
        """
        if self._chunk is None:
            as_horizon(self.horizon, model)
            self._chunk = as_chunk(*self._raw, model)
            self._raw = (None, None)
        elif self._chunk.values.shape[1] != model.num_values:
            as_values(self._chunk.values, model)
        return self._chunk

    def goes_with(self, other: "RowCall") -> bool:
        """Whether both may be in one frame, which has one reply, one horizon, and times for all or none."""
        return self.reply == other.reply and self.horizon == other.horizon and self.timed == other.timed


class Coalescer:
    """Calls in the order they came, taken out a frame's worth at a time.

    One thread may add while another takes.
    """

    def __init__(self, max_rows_a_frame: int, max_message_bytes: int) -> None:
        self._calls: deque[RowCall] = deque()
        self._max_rows = max_rows_a_frame
        # The columns leave half a message to what surrounds them.
        self._max_bytes = max_message_bytes // 2

    def __len__(self) -> int:
        return len(self._calls)

    def has_any_before(self, number: int) -> bool:
        """Whether a call with a lower number waits."""
        return bool(self._calls) and self._calls[0].number < number

    def add(self, call: RowCall) -> None:
        """One more, behind all others."""
        self._calls.append(call)

    def take(self, model: Model, max_rows: int) -> list[RowCall]:
        """The first call, and those behind it that may go with it, as many as one frame and `max_rows` hold.

        A call is passed over where an earlier one of its session was: a session's order is kept.
        """
        first = self._calls.popleft()
        room = min(max_rows, self._rows_of_frame(first, model)) - first.num_rows
        taken, passed = [first], []
        sessions_passed: set[str] = set()
        while room > 0 and self._calls:
            call = self._calls.popleft()
            if first.goes_with(call) and call.num_rows <= room and call.session_id not in sessions_passed:
                taken.append(call)
                room -= call.num_rows
            else:
                passed.append(call)
                sessions_passed.add(call.session_id)
        self.put_back(passed)
        return taken

    def take_all(self) -> list[RowCall]:
        """Every call."""
        return [self._calls.popleft() for _ in range(len(self._calls))]

    def put_back(self, calls: Sequence[RowCall]) -> None:
        """Before all others, in their order."""
        self._calls.extendleft(reversed(calls))

    def _rows_of_frame(self, call: RowCall, model: Model) -> int:
        """How many rows a frame of such calls may have, that it and its reply fit into a message each."""
        forecast_bytes = 0
        if call.reply != forecast_pb2.REPLY_NONE:
            forecast_bytes = 4 * (call.horizon or model.horizon) * model.num_columns
        # Handle, length, position and time, or what a reply has in their place.
        row_bytes = 32 + max(8 * model.num_values, forecast_bytes)
        return min(self._max_rows, self._max_bytes // row_bytes)


def columns_of(calls: Sequence[RowCall], handles: Handles, model: Model) -> Columns:
    """The frame of calls that may go together, their sessions called by `handles` (N,)."""
    chunks = [call.chunk(model) for call in calls]
    times = [chunk.times_us for chunk in chunks if chunk.times_us is not None]
    return Columns.of(
        handles,
        np.fromiter((len(chunk.values) for chunk in chunks), np.int64, len(chunks)),
        np.concatenate([chunk.values for chunk in chunks]),
        np.concatenate(times) if times else None,
        calls[0].reply,
        as_horizon(calls[0].horizon, model),
    )
