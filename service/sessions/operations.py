"""What is done to a model's sessions between its batches."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class Operations:
    """They wait here for a time when no batch runs, in order."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """`wake` is called when one has come."""
        self._wake = wake
        self._waiting: deque[Callable[[], Awaitable[None]]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    async def do(self, act: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Do something when it is time; returns or raises what it does."""
        done: asyncio.Future[_T] = asyncio.get_running_loop().create_future()

        async def operate() -> None:
            if done.cancelled():
                return
            try:
                result = await act()
            except Exception as error:
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(result)

        self._waiting.append(operate)
        self._wake()
        return await done

    async def run_next(self) -> None:
        """It is time for the first of them."""
        await self._waiting.popleft()()
