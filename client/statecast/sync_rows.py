"""The sessions of a stream that blocks: rows one by one, carried in frames by a thread."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from statecast.forecast import ForecastResult
from statecast.row_flow import RowFlow
from statecast.rows import ReplyName


class RowThread:
    """Collects calls, and carries them from a thread that begins with the first and sleeps while none waits.

    Args:
        turn: takes a turn of `rows` with the stream to itself; never raises.
        wake: ends a turn that waits for a reply, if there is one.
    """

    def __init__(self, rows: RowFlow, turn: Callable[[], None], wake: Callable[[], None]) -> None:
        self._rows, self._turn, self._wake = rows, turn, wake
        # What the thread waits for, and what callers wait for while too many rows are without an answer.
        lock = threading.RLock()
        self._work, self._room = threading.Condition(lock), threading.Condition(lock)
        self._num_blocked = 0
        self._num_others = 0
        self._thread: threading.Thread | None = None
        self.stopping = threading.Event()

    def put(
        self, session_id: str, rows: Any, times: Any, reply: ReplyName, horizon: int | None
    ) -> "Future[ForecastResult]":
        """Collect a call, once there is room."""
        answer: Future[ForecastResult] = Future()
        # Its row is on its way: it can no longer be cancelled.
        answer.set_running_or_notify_cancel()
        with self._work:
            self._start()
            self._wait_for_room()
            is_first = self._rows.collect(session_id, rows, times, reply, horizon, answer)
            self._work.notify()
        if is_first:
            self._wake()
        return answer

    def made_room(self) -> None:
        """Told after each turn, whoever took it."""
        if self._num_blocked:
            with self._work:
                self._room.notify_all()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """No turn is begun here: a thread that took one after the other could keep a lock for ever."""
        with self._work:
            self._num_others += 1
        self._wake()
        try:
            yield
        finally:
            with self._work:
                self._num_others -= 1
                self._work.notify()

    @property
    def is_aside(self) -> bool:
        """Whether another thread wants the stream."""
        return self._num_others > 0

    def stop(self) -> None:
        """Ask the thread to end."""
        self.stopping.set()
        with self._work:
            self._work.notify()
        self._wake()

    def join(self) -> None:
        """Wait until the thread has ended, as it was asked to. The next call begins another."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        with self._work:
            self._thread, self.stopping = None, threading.Event()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, args=(self.stopping,), name="statecast-rows", daemon=True
            )
            self._thread.start()

    def _wait_for_room(self) -> None:
        num_failures = self._rows.num_failures
        # From a future's callback the thread itself may call: it must not wait for what only it can do.
        while self._rows.is_full and threading.current_thread() is not self._thread:
            if self._rows.num_failures != num_failures:
                raise self._rows.no_room()
            self._num_blocked += 1
            self._work.notify()
            try:
                self._room.wait()
            finally:
                self._num_blocked -= 1

    def _run(self, stopping: threading.Event) -> None:
        while True:
            with self._work:
                self._work.wait_for(lambda: stopping.is_set() or self._may_take_turn())
            if stopping.is_set():
                return
            self._turn()

    def _may_take_turn(self) -> bool:
        return (self._rows.is_waiting or self._num_blocked > 0) and not self.is_aside


class StreamSession:
    """One series on a stream: rows in one by one, each call answered on its own.

    Calls do not wait for the server. Whatever has been collected when the frame before has left, of this and
    of all other sessions of the stream, goes as one frame.
    """

    def __init__(self, session_id: str, put: Callable[..., "Future[ForecastResult]"]) -> None:
        self.session_id = session_id
        self._put = put

    def forecast(
        self, rows: Any, times: Any = None, reply: ReplyName = "last", horizon: int | None = None
    ) -> "Future[ForecastResult]":
        """Send rows, nearly always one; the arguments are those of `Session.forecast`.

        Waits only where `max_rows_in_flight` rows of the stream have no answer yet.

        Returns:
            A future of the result. It cannot be cancelled: its row is on its way. Its error is a
            StatecastError. Unanswered (Unavailable, Unacknowledged) says that the budget ran out or the
            stream was closed: the row stays with the stream, whose next use sends it again, so do not call
            again with it. Any other says that this row was refused and its session is as if it had not been
            sent; later rows apply where it left off.

        Raises:
            ValueError: rows, times, reply or horizon of the wrong kind or shape; nothing was taken. (From
                the future instead, where the stream was given a model's name and has not learnt the model.)
            Overloaded: no room could be had within the budget; nothing was taken.
        """
        return self._put(self.session_id, rows, times, reply, horizon)

    def observe(self, rows: Any, times: Any = None) -> "Future[ForecastResult]":
        """`forecast` without a forecast, which costs the recurrent step alone."""
        return self._put(self.session_id, rows, times, "none", None)
