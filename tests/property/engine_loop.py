"""An event loop and an executor that move when told, a turn and a run at a time."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from typing import Any

# Turns from the end of a run in the executor until whoever waits for it has heard, at most.
TURNS_TO_HEAR = 6


class HandExecutor(Executor):
    """Threads that stand still: what is submitted runs, on the caller's thread, when told."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def __len__(self) -> int:
        """Runs that have begun and are not over, in the eyes of whoever submitted them."""
        return len(self._waiting)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def finish_one(self) -> bool:
        """Run what was submitted first; False where nothing was."""
        if not self._waiting:
            return False
        future, call = self._waiting.popleft()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)
        return True


class Call:
    """A coroutine that goes on the moment that what it waits for is there; a task would a turn later."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._awaited: asyncio.Future[Any] | None = None
        self.outcome: Any = None
        self.is_done = False

    def poll(self) -> bool:
        """Whether it has returned or raised: `outcome` is what."""
        while not self.is_done and (self._awaited is None or self._awaited.done()):
            try:
                self._awaited = self._coroutine.send(None)
            except StopIteration as end:
                self.outcome, self.is_done = end.value, True
            except Exception as error:
                self.outcome, self.is_done = error, True
        return self.is_done


class HandLoop:
    """One worker's event loop.

    Attributes:
        executor: for its runs.
    """

    def __init__(self) -> None:
        self.executor = HandExecutor()
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._turns_since_run = TURNS_TO_HEAR

    @property
    def may_run(self) -> bool:
        """Whether a run is under way, or over and its end not heard of."""
        return len(self.executor) > 0 or self._turns_since_run < TURNS_TO_HEAR

    def begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """What goes on until it is cancelled."""
        self._task = self._loop.create_task(coroutine)

    def turn(self, act: Callable[[], object]) -> None:
        """Run what is ready, then `act`, all within the loop."""
        errors = []

        def guarded() -> None:
            try:
                act()
            except BaseException as error:
                errors.append(error)
            self._loop.stop()

        self._turns_since_run += 1
        self._loop.call_soon(guarded)
        self._loop.run_forever()
        if errors:
            raise errors[0]
        assert self._task is None or not self._task.done(), self._task

    def finish_run(self) -> bool:
        """The run that is under way in the executor comes to its end; False where there is none."""
        if not self.executor.finish_one():
            return False
        self._turns_since_run = 0
        return True

    def end(self) -> None:
        """Cancel what was begun; a worker that is cancelled waits for the run that is under way."""
        while self.executor.finish_one():
            pass
        if self._task is not None:
            self._task.cancel()
            self._loop.run_until_complete(asyncio.gather(self._task, return_exceptions=True))
            self._task = None

    def close(self) -> None:
        """End everything."""
        self.end()
        self._loop.close()
