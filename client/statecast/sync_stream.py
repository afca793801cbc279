"""The stream that blocks."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

import grpc
import numpy.typing as npt

from statecast import status
from statecast.errors import StatecastError, Unacknowledged, Unavailable
from statecast.flow import Connect, Flow, Pause, Receive, Send, Step, T
from statecast.forecast import ForecastResult
from statecast.frames import FrameResult, Handles
from statecast.in_flight import InFlight
from statecast.row_flow import RowFlow
from statecast.rows import ReplyName, as_session_id
from statecast.stream_flow import StreamFlow
from statecast.sync_rows import RowThread, StreamSession

# How long a stream that was answered to the end may take to end.
_END_TIMEOUT_S = 1.0


def run(steps: Flow[T], perform: Callable[[Step], Any]) -> T:
    """Drive a flow to its end, `perform` blocking until each step is done."""
    try:
        step = next(steps)
        while True:
            try:
                outcome = perform(step)
            except StatecastError as error:
                step = steps.throw(error)
            else:
                step = steps.send(outcome)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        # After an interrupt the flow still has to see that it ends here.
        steps.close()


class PendingFrame:
    """A frame on its way; the stream keeps it until it is answered."""

    def __init__(self, frame: InFlight, stream: "Stream") -> None:
        self._frame, self._stream = frame, stream

    @property
    def done(self) -> bool:
        """Whether its answer has been taken; answers are taken while something waits for one."""
        return self._frame.outcome is not None

    def result(self) -> FrameResult:
        """Wait for the answer, and with it for all frames before it.

        Raises:
            StatecastError: the whole frame was refused; or, Unanswered or Overloaded, the budget ran out:
                the frame stays in flight, and the next use of the stream sends it again.
        """
        return self._stream._result(self._frame)


class Stream:
    """Many sessions of one model on one connection, each row applied exactly once; threads may share it.

    Rows come in columns that the caller has packed (`forecast`, `submit`), or one by one (`session`), which
    the stream packs itself.

    The position of a session first seen here is asked for before its first row is sent. When the connection
    breaks, the stream opens a new one and sends everything without an answer again, in order. Rows that were
    applied the first time are skipped then: their entry answers with the forecast as the session stands.
    """

    def __init__(self, core: StreamFlow, rows: RowFlow, perform: Callable[[Step], Any], method: Any) -> None:
        self._core, self._rows, self._client_perform, self._method = core, rows, perform, method
        self._connection: _Connection | None = None
        self._lock = threading.RLock()
        self._thread = RowThread(rows, self._take_turn, self._wake)
        # Whether the thread of rows waits for a reply.
        self._is_receiving = False

    def session(self, session_id: str) -> StreamSession:
        """One series, whose rows the stream carries with those of other sessions in packed frames."""
        return StreamSession(as_session_id(session_id), self._thread.put)

    def forecast(
        self,
        entries: Mapping[str, Any],
        times: Mapping[str, Any] | None = None,
        reply: ReplyName = "last",
        horizon: int | None = None,
    ) -> dict[str, ForecastResult | StatecastError]:
        """Apply rows of several sessions in one frame.

        Args:
            entries: rows by session id, each as in `Session.forecast`.
            times: those of each entry, or None.

        Returns:
            By session id the result, or why that entry was refused, which leaves its session as it was.

        Raises:
            ValueError: rows or times of the wrong kind or shape; nothing was sent.
            StatecastError: as `PendingFrame.result`.
        """
        return self._run(self._rows.behind(self._core.forecast(entries, times, reply, horizon)))

    def submit(
        self,
        sessions: Sequence[str] | Handles,
        values: Any,
        times: Any = None,
        *,
        lengths: npt.ArrayLike | None = None,
        reply: ReplyName = "last",
        horizon: int | None = None,
        score_anomalies: bool = False,
    ) -> PendingFrame:
        """Send a frame in columns without waiting for its answer; waits where too many are in flight.

        An entry that is refused leaves its session as it was, and later rows of that session, of this frame
        or another, apply where it left off.

        Args:
            sessions: N session ids, or handles from `open`, which spares looking them up.
            values: (R, F) numbers, or as in `Session.forecast`: all entries' rows, one entry after the other.
            times: R times, or None.
            lengths: (N,) rows of each entry; None for one each.
            score_anomalies: as in `Session.forecast`.

        Raises:
            ValueError: the columns disagree; nothing was taken.
            StatecastError: no room could be had within the budget; the frame was not taken.
        """
        steps = self._core.submit(sessions, values, times, lengths, reply, horizon, score_anomalies)
        return PendingFrame(self._run(self._rows.behind(steps)), self)

    def send(
        self,
        sessions: Sequence[str] | Handles,
        values: Any,
        times: Any = None,
        *,
        lengths: npt.ArrayLike | None = None,
        reply: ReplyName = "last",
        horizon: int | None = None,
        score_anomalies: bool = False,
    ) -> FrameResult:
        """`submit`, and wait for the answer."""
        return self.submit(
            sessions,
            values,
            times,
            lengths=lengths,
            reply=reply,
            horizon=horizon,
            score_anomalies=score_anomalies,
        ).result()

    def open(self, session_ids: Sequence[str], positions: npt.ArrayLike | None = None) -> Handles:
        """Handles (N,) uint32 for sessions, to `submit` by; good for as long as this stream.

        Args:
            positions: (N,) rows each session has consumed, where the caller knows; None asks the server.
        """
        return self._run(self._core.open(session_ids, positions))

    def position(self, session_id: str) -> int | None:
        """Rows of a session after everything sent so far; None where this stream has not seen it."""
        return self._core.position(session_id)

    def refresh(self, session_ids: Sequence[str]) -> list[int]:
        """Wait for all answers, then take the server's positions for ours, after a PositionConflict."""
        self.drain()
        return self._run(self._core.refresh(session_ids))

    def drain(self) -> None:
        """Wait until every frame and every row is answered."""
        while not self._rows.is_idle:
            self._run(self._rows.turn())

    def close(self) -> None:
        """End the stream without waiting for answers; sessions stay with the server."""
        self._thread.stop()
        with self._to_itself():
            self._core.disconnected()
            if self._connection is not None:
                self._connection.close(gently=self._core.num_in_flight == 0)
                self._connection = None
        self._thread.join()
        with self._to_itself():
            self._rows.fail(Unacknowledged("the stream was closed before the answer came"))
        self._after_turn()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.drain()
        finally:
            self.close()

    def _result(self, frame: InFlight) -> FrameResult:
        self._run(self._core.wait_for(frame))
        return frame.result()

    def _run(self, steps: Flow[T]) -> T:
        try:
            with self._to_itself():
                return run(steps, self._perform)
        finally:
            self._after_turn()

    @contextmanager
    def _to_itself(self) -> Iterator[None]:
        with ExitStack() as waiting:
            waiting.enter_context(self._thread.aside())
            with self._lock:
                waiting.close()
                yield

    def _take_turn(self) -> None:
        try:
            with self._lock:
                run(self._rows.turn(), self._perform_in_turn)
        except Exception as error:
            with self._lock:
                self._rows.fail(error)
        self._after_turn()

    def _after_turn(self) -> None:
        # Without the lock: a future's callbacks may use the stream.
        self._rows.deliver()
        self._thread.made_room()

    def _perform_in_turn(self, step: Step) -> Any:
        if isinstance(step, Pause):
            if self._thread.stopping.wait(step.seconds):
                raise Unacknowledged("the stream was closed before the answer came")
            return None
        if isinstance(step, Receive):
            self._is_receiving = True
            try:
                # What comes from now on wakes us; what came before shows here.
                if self._rows.can_send or self._thread.is_aside:
                    return None
                return self._perform(step)
            finally:
                self._is_receiving = False
        return self._perform(step)

    def _wake(self) -> None:
        connection = self._connection
        if self._is_receiving and connection is not None:
            connection.wake()

    def _perform(self, step: Step) -> Any:
        if isinstance(step, Connect):
            if self._connection is not None:
                self._connection.close(gently=False)
            self._connection = _Connection(self._method)
            return None
        if isinstance(step, Send | Receive):
            assert self._connection is not None
            if isinstance(step, Send):
                return self._connection.send(step.request)
            return self._connection.receive(step.timeout_s)
        return self._client_perform(step)


class _Connection:
    """One call of StreamForecasts; a thread takes replies as they come, so that a wait can time out."""

    def __init__(self, method: Any) -> None:
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._call = method(iter(self._requests.get, None))
        self._reader = threading.Thread(target=self._read, name="statecast-replies", daemon=True)
        self._reader.start()

    def send(self, request: Any) -> None:
        self._requests.put(request)

    def wake(self) -> None:
        """Whoever waits for a reply, or the next to do so, gets None."""
        self._replies.put(None)

    def receive(self, timeout_s: float) -> Any:
        try:
            reply = self._replies.get(timeout=timeout_s)
        except queue.Empty:
            raise Unacknowledged(f"no reply within {timeout_s:g} s", code="DEADLINE_EXCEEDED") from None
        if isinstance(reply, StatecastError):
            raise reply
        return reply

    def close(self, gently: bool) -> None:
        self._requests.put(None)
        if gently:
            self._reader.join(_END_TIMEOUT_S)
        self._call.cancel()

    def _read(self) -> None:
        try:
            for reply in self._call:
                self._replies.put(reply)
        except grpc.RpcError as error:
            self._replies.put(status.from_rpc_error(error))
        else:
            self._replies.put(Unavailable("the server ended the stream"))
