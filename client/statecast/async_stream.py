"""The stream that awaits: `Stream`, for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
import numpy.typing as npt

from statecast import status
from statecast.async_rows import AsyncStreamSession, RowTask
from statecast.errors import StatecastError, Unacknowledged, Unavailable
from statecast.flow import Connect, Flow, Receive, Send, Step, T
from statecast.forecast import ForecastResult
from statecast.frames import FrameResult, Handles
from statecast.in_flight import InFlight
from statecast.row_flow import RowFlow
from statecast.rows import ReplyName, as_session_id
from statecast.stream_flow import StreamFlow

# How long a stream that was answered to the end may take to end.
_END_TIMEOUT_S = 1.0


async def run(steps: Flow[T], perform: Callable[[Step], Awaitable[Any]]) -> T:
    """Drive a flow to its end, awaiting each step."""
    try:
        step = next(steps)
        while True:
            try:
                outcome = await perform(step)
            except StatecastError as error:
                step = steps.throw(error)
            else:
                step = steps.send(outcome)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        # After a cancellation the flow still has to see that it ends here.
        steps.close()


async def remote(answer: Awaitable[T]) -> T:
    """Await a call, telling our task's cancellation from the call's.

    Raises:
        Unacknowledged: something else cancelled the call, such as closing the client in another task, which
            grpc.aio raises as CancelledError too.
    """
    try:
        return await answer
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise status.cancelled() from None


class AsyncPendingFrame:
    """A frame on its way; the stream keeps it until it is answered. Await it, or `result()`."""

    def __init__(self, frame: InFlight, stream: "AsyncStream") -> None:
        self._frame, self._stream = frame, stream

    @property
    def done(self) -> bool:
        """Whether its answer has been taken; answers are taken while something waits for one."""
        return self._frame.outcome is not None

    async def result(self) -> FrameResult:
        """Wait for the answer; as `PendingFrame.result`. Cancelling the wait loses nothing."""
        return await self._stream._result(self._frame)

    def __await__(self) -> Generator[Any, None, FrameResult]:
        return self.result().__await__()


class AsyncStream:
    """`Stream`, awaited; tasks may share it. Cancelling a wait loses nothing."""

    def __init__(
        self,
        core: StreamFlow,
        rows: RowFlow,
        perform: Callable[[Step], Awaitable[Any]],
        method: Callable[[], Any],
    ) -> None:
        self._core, self._rows, self._client_perform, self._method = core, rows, perform, method
        self._connection: _Connection | None = None
        self._lock = asyncio.Lock()
        self._task = RowTask(rows, self._take_turn, self._wake)
        # Whether the task of rows waits for a reply.
        self._is_receiving = False

    def session(self, session_id: str) -> AsyncStreamSession:
        """One series, whose rows the stream carries with those of other sessions in packed frames."""
        return AsyncStreamSession(as_session_id(session_id), self._task.put)

    async def room(self) -> None:
        """Wait until fewer than `max_rows_in_flight` rows of single calls are without an answer.

        Raises:
            Overloaded: no room could be had within the budget.
        """
        await self._task.room()

    async def forecast(
        self,
        entries: Mapping[str, Any],
        times: Mapping[str, Any] | None = None,
        reply: ReplyName = "last",
        horizon: int | None = None,
    ) -> dict[str, ForecastResult | StatecastError]:
        """Apply rows of several sessions in one frame; as `Stream.forecast`."""
        return await self._run(self._rows.behind(self._core.forecast(entries, times, reply, horizon)))

    async def submit(
        self,
        sessions: Sequence[str] | Handles,
        values: Any,
        times: Any = None,
        *,
        lengths: npt.ArrayLike | None = None,
        reply: ReplyName = "last",
        horizon: int | None = None,
        score_anomalies: bool = False,
    ) -> AsyncPendingFrame:
        """Send a frame in columns without waiting for its answer; as `Stream.submit`."""
        steps = self._core.submit(sessions, values, times, lengths, reply, horizon, score_anomalies)
        return AsyncPendingFrame(await self._run(self._rows.behind(steps)), self)

    async def send(
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
        return await (
            await self.submit(
                sessions,
                values,
                times,
                lengths=lengths,
                reply=reply,
                horizon=horizon,
                score_anomalies=score_anomalies,
            )
        )

    async def open(self, session_ids: Sequence[str], positions: npt.ArrayLike | None = None) -> Handles:
        """Handles (N,) uint32 for sessions, to `submit` by; as `Stream.open`."""
        return await self._run(self._core.open(session_ids, positions))

    def position(self, session_id: str) -> int | None:
        """Rows of a session after everything sent so far; None where this stream has not seen it."""
        return self._core.position(session_id)

    async def refresh(self, session_ids: Sequence[str]) -> list[int]:
        """Wait for all answers, then take the server's positions for ours, after a PositionConflict."""
        await self.drain()
        return await self._run(self._core.refresh(session_ids))

    async def drain(self) -> None:
        """Wait until every frame and every row is answered."""
        while not self._rows.is_idle:
            await self._run(self._rows.turn())

    async def close(self) -> None:
        """End the stream without waiting for answers; sessions stay with the server."""
        await self._task.stop()
        async with self._lock:
            self._core.disconnected()
            self._rows.fail(Unacknowledged("the stream was closed before the answer came"))
            self._after_turn()
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close(gently=self._core.num_in_flight == 0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.drain()
        finally:
            await self.close()

    async def _result(self, frame: InFlight) -> FrameResult:
        if frame.outcome is None:
            await self._run(self._core.wait_for(frame))
        return frame.result()

    async def _run(self, steps: Flow[T]) -> T:
        self._wake()
        async with self._lock:
            try:
                return await run(steps, self._perform)
            finally:
                self._after_turn()

    async def _take_turn(self) -> None:
        async with self._lock:
            try:
                await run(self._rows.turn(), self._perform_in_turn)
            except Exception as error:
                self._rows.fail(error)
            self._after_turn()

    def _after_turn(self) -> None:
        self._rows.deliver()
        self._task.made_room()

    async def _perform_in_turn(self, step: Step) -> Any:
        self._is_receiving = isinstance(step, Receive)
        try:
            return await self._perform(step)
        finally:
            self._is_receiving = False

    def _wake(self) -> None:
        if self._is_receiving and self._connection is not None:
            self._connection.wake()

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Connect):
            if self._connection is not None:
                self._connection.cancel()
            self._connection = _Connection(self._method())
            return None
        if isinstance(step, Send | Receive):
            assert self._connection is not None
            if isinstance(step, Send):
                return self._connection.send(step.request)
            return await self._connection.receive(step.timeout_s)
        return await self._client_perform(step)


class _Connection:
    """One call of StreamForecasts; a task takes replies as they come, so that a wait for one can be left."""

    def __init__(self, method: Any) -> None:
        self._requests: asyncio.Queue[Any] = asyncio.Queue()
        self._replies: asyncio.Queue[Any] = asyncio.Queue()
        # Requests are pulled by gRPC's own task: a sender that waited for flow control itself could not take
        # the replies whose reading makes the server go on.
        self._call = method(self._outgoing())
        self._reader = asyncio.create_task(self._read(), name="statecast-replies")

    def send(self, request: Any) -> None:
        self._requests.put_nowait(request)

    def wake(self) -> None:
        """Whoever waits for a reply, or the next to do so, gets None."""
        self._replies.put_nowait(None)

    async def receive(self, timeout_s: float) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._replies.get()
        except TimeoutError:
            raise Unacknowledged(f"no reply within {timeout_s:g} s", code="DEADLINE_EXCEEDED") from None
        if isinstance(reply, StatecastError):
            raise reply
        return reply

    async def close(self, gently: bool) -> None:
        self._requests.put_nowait(None)
        try:
            if gently:
                await asyncio.wait([self._reader], timeout=_END_TIMEOUT_S)
        finally:
            self._call.cancel()

    def cancel(self) -> None:
        self._requests.put_nowait(None)
        self._call.cancel()

    async def _outgoing(self) -> AsyncIterator[Any]:
        while (request := await self._requests.get()) is not None:
            yield request

    async def _read(self) -> None:
        end: StatecastError = Unavailable("the server ended the stream")
        try:
            while (reply := await remote(self._call.read())) is not grpc.aio.EOF:  # type: ignore[attr-defined]
                self._replies.put_nowait(reply)
        except grpc.aio.AioRpcError as error:
            end = status.from_rpc_error(error)
        except StatecastError as error:
            end = error
        self._replies.put_nowait(end)
