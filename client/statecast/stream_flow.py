"""Many sessions on one stream: handles, positions, frames in flight, and recovery."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from statecast import flow
from statecast.errors import REFUSALS, InternalError, Overloaded, StatecastError, TakenOver
from statecast.flow import Connect, Flow, Pause, Receive, Send
from statecast.forecast import ForecastResult
from statecast.frames import Columns, Handles, Integers, decode, first_positions
from statecast.in_flight import InFlight, Told
from statecast.model import Model
from statecast.retry import Attempts, RetryPolicy
from statecast.rows import as_chunk, as_horizon, as_reply, as_times_us, as_values
from statecast.session_flow import check_size
from statecast.status import from_frame_error
from statecast.v1 import forecast_pb2

MAX_HANDLES = 1 << 24
# Sessions named in one message, so that a reconnect with very many of them stays below any message bound.
_SESSIONS_A_MESSAGE = 10_000
# Refusals for now: surely nothing was applied.
_NOT_APPLIED = (Overloaded, TakenOver)


class StreamFlow:
    """What `Stream` and `AsyncStream` do.

    The position of a session that is first seen here is asked for with GetSession, sessions side by side,
    before its first row is sent: only with a position can a row whose reply was lost be told from one that
    never came. A caller who knows the positions passes them to `open` and saves the question.

    There is one path of recovery. When the connection breaks, a frame or entry is refused for overload, or an
    entry is refused whose session has later rows in flight, the stream is opened anew and everything without
    an answer is sent again, in order, with its positions; rows that were applied are skipped by the server.
    """

    def __init__(
        self, model: str | Model, policy: RetryPolicy, max_frames_in_flight: int, max_message_bytes: int
    ) -> None:
        if max_frames_in_flight < 1:
            raise ValueError(f"max_frames_in_flight: expected at least 1, found {max_frames_in_flight}")
        self.model_name = model if isinstance(model, str) else model.name
        self._model = None if isinstance(model, str) else model
        self._policy = policy
        self._max_frames_in_flight = max_frames_in_flight
        self._max_message_bytes = max_message_bytes
        self._handles: dict[str, int] = {}
        self._session_ids: list[str] = []
        # By handle: the position of the next row to be sent, and whether this connection knows the handle.
        self._next_positions = np.zeros(0, np.int64)
        self._named = np.zeros(0, bool)
        self._in_flight: deque[InFlight] = deque()
        self._num_frames = 0
        self._connected = False
        self._attempts: Attempts | None = None

    def model(self) -> Flow[Model]:
        """The stream's model, asked for once, and again when another version answers."""
        if self._model is None:
            self._model = yield from flow.get_model(self.model_name, self._policy)
        return self._model

    @property
    def known_model(self) -> Model | None:
        """The stream's model, where it has been given or asked for."""
        return self._model

    def position(self, session_id: str) -> int | None:
        """The position after all rows taken so far; None for a session not seen yet."""
        handle = self._handles.get(session_id)
        return None if handle is None else int(self._next_positions[handle])

    def open(self, session_ids: Sequence[str], positions: npt.ArrayLike | None = None) -> Flow[Handles]:
        """See `Stream.open`."""
        if isinstance(session_ids, str):
            raise ValueError(f"session_ids: expected a sequence of ids, found {session_ids!r}")
        known = self._handles
        new = [session_id for session_id in dict.fromkeys(session_ids) if session_id not in known]
        if positions is not None:
            given = np.asarray(positions, np.int64)
            if given.shape != (len(session_ids),) or (given < 0).any():
                raise ValueError(
                    f"positions: expected {len(session_ids)}, at least 0, found shape {given.shape}"
                )
            at = dict(zip(session_ids, given.tolist(), strict=True))
            self._add(new, [at[session_id] for session_id in new])
        else:
            for error in (yield from self.introduce(new)).values():
                raise error
        return self.handles(session_ids)

    def introduce(self, session_ids: Sequence[str]) -> Flow[dict[str, StatecastError]]:
        """Learn the positions of sessions first seen here; returns those that the server refuses, and why.

        Raises:
            StatecastError: the budget ran out.
        """
        new = [session_id for session_id in session_ids if session_id not in self._handles]
        if not new:
            return {}
        outcomes = yield from flow.ask_positions(self.model_name, new, self._policy)
        known = {name: found for name, found in outcomes.items() if not isinstance(found, StatecastError)}
        self._add(list(known), list(known.values()))
        return {name: found for name, found in outcomes.items() if isinstance(found, StatecastError)}

    def handles(self, session_ids: Sequence[str]) -> Handles:
        """(N,) uint32 for sessions that were seen before."""
        known = self._handles
        return np.fromiter((known[session_id] for session_id in session_ids), np.uint32, len(session_ids))

    def submit(
        self,
        sessions: Sequence[str] | Handles,
        values: Any,
        times: Any,
        lengths: npt.ArrayLike | None,
        reply: str,
        horizon: int | None,
        score_anomalies: bool = False,
    ) -> Flow[InFlight]:
        """See `Stream.submit`."""
        wanted = as_reply(reply)
        model = yield from self.model()
        rows = as_values(values, model, "values")
        times_us = as_times_us(times, len(rows), "values")
        steps = as_horizon(horizon, model)
        if isinstance(sessions, np.ndarray) and sessions.dtype.kind in "iu":
            handles = self._checked(sessions)
        else:
            handles = yield from self.open([str(session_id) for session_id in sessions])
        num_rows = None if lengths is None else np.asarray(lengths, np.int64)
        columns = Columns.of(handles, num_rows, rows, times_us, wanted, steps, score_anomalies)
        return (yield from self._take(columns))

    def forecast(
        self, entries: Mapping[str, Any], times: Mapping[str, Any] | None, reply: str, horizon: int | None
    ) -> Flow[dict[str, ForecastResult | StatecastError]]:
        """See `Stream.forecast`."""
        wanted = as_reply(reply)
        model = yield from self.model()
        steps = as_horizon(horizon, model)
        if times is not None and times.keys() != entries.keys():
            odd = sorted(times.keys() ^ entries.keys())
            raise ValueError(
                f"times: expected those of every entry and no others, which differs at {odd[0]!r}"
            )
        chunks = [
            as_chunk(rows, None if times is None else times[session_id], model, f"entries[{session_id!r}]")
            for session_id, rows in entries.items()
        ]
        if not chunks:
            return {}
        handles = yield from self.open(list(entries))
        lengths = np.array([len(chunk.values) for chunk in chunks], np.int64)
        times_us = None if times is None else np.concatenate([chunk.times_us for chunk in chunks])
        values = np.concatenate([chunk.values for chunk in chunks])
        frame = yield from self._take(Columns.of(handles, lengths, values, times_us, wanted, steps))
        yield from self.wait_for(frame)
        return dict(zip(entries, frame.result(), strict=True))

    def wait_for(self, frame: InFlight) -> Flow[None]:
        """Until `frame` is answered, and with it all before it.

        Raises:
            StatecastError: the budget ran out; the frames stay, and the next use of the stream sends them
                again.
        """
        while frame.outcome is None:
            yield from self.advance()

    def refresh(self, session_ids: Sequence[str]) -> Flow[list[int]]:
        """See `Stream.refresh`."""
        yield from self.drain()
        handles = yield from self.open(session_ids)
        positions = yield from flow.get_positions(self.model_name, session_ids, self._policy)
        self._next_positions[handles] = positions
        return positions

    def drain(self) -> Flow[None]:
        """Until nothing is in flight."""
        while self._in_flight:
            yield from self.advance()

    @property
    def num_in_flight(self) -> int:
        """Frames that are not answered yet."""
        return len(self._in_flight)

    @property
    def has_room(self) -> bool:
        """Whether another frame may be in flight."""
        return len(self._in_flight) < self._max_frames_in_flight

    def enter(self, columns: Columns, told: Sequence[Told] = ()) -> InFlight:
        """A frame is in flight from now on, behind those there are; `dispatch` sends it.

        Raises:
            InvalidRequest: it is too large; it was not taken.
        """
        check_size("values", columns.num_bytes, self._max_message_bytes)
        positions = first_positions(columns.handles, columns.lengths, self._next_positions)
        np.add.at(self._next_positions, columns.handles, columns.lengths)
        self._num_frames += 1
        frame = InFlight(self._num_frames, columns, positions, told)
        self._in_flight.append(frame)
        return frame

    def dispatch(self, frame: InFlight) -> Flow[None]:
        """Send a frame that has just entered, with all before it where there is no connection."""
        if self._connected:
            yield from self._send(frame)
        else:
            yield from self._connect()

    def advance(self) -> Flow[None]:
        """One reply taken, or one step of recovery, or nothing where something else comes first.

        Raises:
            StatecastError: the budget ran out; the frames stay.
        """
        attempts = self._attempts = self._attempts or self._policy.start()
        try:
            if not self._connected:
                yield from self._connect()
            elif (yield from self._receive(attempts.timeout_s)):
                self._attempts = None
        except StatecastError as error:
            self._break(answered=isinstance(error, _NOT_APPLIED))
            pause_s = attempts.pause_s(error)
            if pause_s is None:
                self._attempts = None
                self._give_up(error)
            else:
                yield Pause(pause_s)
        except BaseException:
            # Interrupted or cancelled: what the connection still holds is not known.
            self._break(answered=False)
            self._attempts = None
            raise

    def disconnected(self) -> None:
        """Told that there is no connection any more; the next use makes one."""
        self._connected = False

    def _add(self, session_ids: Sequence[str], positions: Sequence[int]) -> None:
        if len(self._session_ids) + len(session_ids) > MAX_HANDLES:
            raise ValueError(f"session_ids: expected at most {MAX_HANDLES} on a stream")
        for session_id in session_ids:
            self._handles[session_id] = len(self._session_ids)
            self._session_ids.append(session_id)
        self._next_positions = np.concatenate([self._next_positions, np.asarray(positions, np.int64)])
        self._named = np.concatenate([self._named, np.zeros(len(session_ids), bool)])

    def _checked(self, handles: npt.NDArray[Any]) -> Handles:
        if handles.ndim != 1 or (len(handles) and not 0 <= handles.min() <= handles.max() < len(self._named)):
            raise ValueError(f"handles: expected (N,) below {len(self._named)}, as `open` gave them")
        return handles.astype(np.uint32)

    def _take(self, columns: Columns) -> Flow[InFlight]:
        # Room comes first: where there is none to be had, the frame is not taken and this stream is as
        # before.
        while not self.has_room:
            yield from self.advance()
        frame = self.enter(columns)
        yield from self.dispatch(frame)
        return frame

    def _connect(self) -> Flow[None]:
        # Neither connecting nor sending waits; a fault of either shows at the next Receive.
        yield Connect()
        self._connected = True
        self._named[:] = False
        for frame in self._in_flight:
            yield from self._send(frame)

    def _send(self, frame: InFlight) -> Flow[None]:
        handles = np.unique(frame.columns.handles)
        unnamed = handles[~self._named[handles]]
        self._named[unnamed] = True
        for start in range(0, len(unnamed), _SESSIONS_A_MESSAGE):
            some = unnamed[start : start + _SESSIONS_A_MESSAGE].tolist()
            names = [
                forecast_pb2.SessionHandle(
                    handle=handle, model=self.model_name, session_id=self._session_ids[handle]
                )
                for handle in some
            ]
            yield Send(forecast_pb2.StreamForecastsRequest(sessions=names))
        message = frame.columns.message(frame.frame_id, frame.positions)
        yield Send(forecast_pb2.StreamForecastsRequest(frame=message))

    def _receive(self, timeout_s: float) -> Flow[bool]:
        """Whether there was a reply."""
        try:
            response = yield Receive(timeout_s)
        except REFUSALS as error:
            # The server ended the stream over the first frame it had not answered.
            self._break(answered=True)
            self._refuse(error)
            return True
        if response is not None:
            yield from self._settle(response)
        return response is not None

    def _break(self, answered: bool) -> None:
        """The connection is given up; `answered` tells whether the first frame was."""
        self._connected = False
        for frame in list(self._in_flight)[answered:]:
            frame.in_doubt = True

    def _give_up(self, error: StatecastError) -> None:
        """The budget is spent. What was surely not applied is refused; anything else stays in flight."""
        if not isinstance(error, _NOT_APPLIED) or self._in_flight[0].in_doubt:
            raise error
        self._refuse(error)

    def _settle(self, response: forecast_pb2.StreamForecastsResponse) -> Flow[None]:
        frame = self._in_flight[0]
        if response.frame_id != frame.frame_id:
            raise InternalError(f"expected the reply to frame {frame.frame_id}, found {response.frame_id}")
        if response.HasField("frame_error"):
            error = from_frame_error(response.frame_error)
            if error.retryable:
                raise error
            self._refuse(error)
            return
        model = yield from self._answering(response)
        handles, lengths = frame.columns.handles, frame.columns.lengths
        result = decode(response, len(handles), model.quantile_levels, model.labels)
        applied, again = ~result.refused, frame.again(result)
        np.maximum.at(self._next_positions, handles[applied], result.positions[applied])
        refused = ~applied & ~again
        self._give_back(handles[refused], lengths[refused])
        frame.settle(result, again)
        if frame.outcome is not None:
            self._in_flight.popleft()
            return
        for error in result.errors.values():
            if error.retryable:
                raise error
        self._break(answered=True)

    def _answering(self, response: forecast_pb2.StreamForecastsResponse) -> Flow[Model]:
        model = yield from self.model()
        if response.forecasts and response.num_quantile_levels != model.num_columns:
            # Another version of the model answers by now.
            self._model = None
            model = yield from self.model()
        return model

    def _refuse(self, error: StatecastError) -> None:
        """What the first frame still holds is refused."""
        frame = self._in_flight[0]
        self._give_back(frame.columns.handles, frame.columns.lengths)
        self._in_flight.popleft()
        frame.refuse(error)

    def _give_back(self, handles: Handles, num_rows: Integers) -> None:
        """Rows of the first frame were never consumed: those sent after them stand that much earlier."""
        if not len(handles):
            return
        shift = np.zeros(len(self._next_positions), np.int64)
        np.add.at(shift, handles, num_rows)
        self._next_positions -= shift
        for frame in list(self._in_flight)[1:]:
            moved = shift[frame.columns.handles]
            if moved.any():
                frame.positions = frame.positions - moved
                # The server refuses them where they stand; sent again they are right.
                self._break(answered=True)
