"""`ModelStreamInfer`: requests under way together, answers in the order in which they came."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from service.errors import Draining
from service.rpc.status import Context
from service.telemetry.tracing import TRACE, StreamTrace

# Requests of one stream that may be under way, and the bytes that they may hold together, one whole
# message aside. Further ones stay unread, so that HTTP/2 flow control slows the sender down.
_MAX_UNDER_WAY = 1024
_MAX_BYTES_UNDER_WAY = 16 * 2**20


@dataclass(frozen=True, slots=True)
class _Answer:
    """A place in the order of answers; `size` is the request's."""

    task: "asyncio.Task[bytes]"
    size: int


class InferStream:
    """One stream. `answer` makes the message that answers one; it raises nothing but a cancellation."""

    def __init__(self, answer: Callable[[bytes], Awaitable[bytes]], context: Context) -> None:
        self._answer, self._context = answer, context
        self._answers: asyncio.Queue[_Answer | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[bytes]] = set()
        self._num_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._reading: asyncio.Task[None] | None = None

    async def run(self, requests: AsyncIterator[bytes]) -> None:
        """Until the sender ends the stream and all that was read is answered.

        Raises:
            Draining: `stop_reading` was called.
        """
        self._reading = asyncio.create_task(self._read(requests))
        try:
            while (answer := await self._answers.get()) is not None:
                content = await answer.task
                self._release(answer)
                await self._context.write(content)
        finally:
            self._reading.cancel()
            # Nobody reads answers any more: what has not begun is not applied.
            for task in self._tasks:
                task.cancel()
        await asyncio.wait({self._reading})
        if self._reading.cancelled():
            raise Draining
        self._reading.result()

    def stop_reading(self) -> None:
        """What has not been read by now is not taken."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self, requests: AsyncIterator[bytes]) -> None:
        trace = StreamTrace()
        try:
            async for content in requests:
                # The task that is made has a copy of what is set here.
                TRACE.set(trace.take())
                # Tasks begin in the order in which they are made: so do requests of one sequence.
                task = asyncio.ensure_future(self._answer(content))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                self._take(_Answer(task, len(content)))
                await self._has_room.wait()
        finally:
            self._answers.put_nowait(None)

    def _take(self, answer: _Answer) -> None:
        self._num_bytes += answer.size
        self._answers.put_nowait(answer)
        self._update()

    def _release(self, answer: _Answer) -> None:
        self._num_bytes -= answer.size
        self._update()

    def _update(self) -> None:
        if self._answers.qsize() < _MAX_UNDER_WAY and self._num_bytes < _MAX_BYTES_UNDER_WAY:
            self._has_room.set()
        else:
            self._has_room.clear()
