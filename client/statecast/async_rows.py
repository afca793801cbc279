"""The sessions of a stream that awaits: rows one by one, carried in frames by a task."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from statecast.forecast import ForecastResult
from statecast.row_flow import RowFlow
from statecast.rows import ReplyName


class RowTask:
    """Collects calls, and carries them from a task that begins with the first and ends with the last.

    Args:
        turn: takes a turn of `rows` with the stream to itself; raises nothing but its cancellation.
        wake: ends a turn that waits for a reply, if there is one.
    """

    def __init__(self, rows: RowFlow, turn: Callable[[], Awaitable[None]], wake: Callable[[], None]) -> None:
        self._rows, self._turn, self._wake = rows, turn, wake
        self._room = asyncio.Event()
        self._num_blocked = 0
        self._task: asyncio.Task[None] | None = None

    def put(
        self, session_id: str, rows: Any, times: Any, reply: ReplyName, horizon: int | None
    ) -> "asyncio.Future[ForecastResult]":
        """Collect a call."""
        answer: asyncio.Future[ForecastResult] = asyncio.get_running_loop().create_future()
        is_first = self._rows.collect(session_id, rows, times, reply, horizon, answer)
        self._start()
        if is_first:
            self._wake()
        return answer

    async def room(self) -> None:
        """Wait until there is room."""
        num_failures = self._rows.num_failures
        while self._rows.is_full:
            if self._rows.num_failures != num_failures:
                raise self._rows.no_room()
            self._room.clear()
            self._num_blocked += 1
            self._start()
            try:
                await self._room.wait()
            finally:
                self._num_blocked -= 1

    def made_room(self) -> None:
        """Told after each turn, whoever took it."""
        self._room.set()

    async def stop(self) -> None:
        """End the task. The next call begins another."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _start(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="statecast-rows")

    async def _run(self) -> None:
        while self._rows.is_waiting or self._num_blocked:
            await self._turn()


class AsyncStreamSession:
    """`StreamSession`, awaited: a call takes its row at once, and what it returns is awaited for the answer.

    Calls made in one turn of the event loop go as one frame, and so do those made while there is no room for
    another frame in flight.
    """

    def __init__(self, session_id: str, put: Callable[..., "asyncio.Future[ForecastResult]"]) -> None:
        self.session_id = session_id
        self._put = put

    def forecast(
        self, rows: Any, times: Any = None, reply: ReplyName = "last", horizon: int | None = None
    ) -> "asyncio.Future[ForecastResult]":
        """Send rows; as `StreamSession.forecast`, with an awaitable in place of its future.

        Cancelling it, or a task that awaits it, takes nothing back: the row is applied all the same.

        A call never waits. Where `max_rows_in_flight` rows have no answer yet, its row waits in line, and is
        dropped with an Overloaded where the budget runs out first. Who does not await each answer before the
        next call awaits `AsyncStream.room`.
        """
        return self._put(self.session_id, rows, times, reply, horizon)

    def observe(self, rows: Any, times: Any = None) -> "asyncio.Future[ForecastResult]":
        """`forecast` without a forecast, which costs the recurrent step alone."""
        return self._put(self.session_id, rows, times, "none", None)
