"""What waits for one caller to read it."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

from service.errors import Draining

_Item = TypeVar("_Item")


class Inbox(Generic[_Item]):
    """Items in order, of which a slow reader loses the oldest.

    Attributes:
        items: what is not read yet.
        is_over: whether `end` was called.
    """

    def __init__(self, max_items: int) -> None:
        self.items: deque[_Item] = deque()
        self.is_over = False
        self._max_items = max_items
        self._news = asyncio.Event()

    def put(self, item: _Item) -> _Item | None:
        """Add one; returns the one that made room for it."""
        lost = self.items.popleft() if len(self.items) == self._max_items else None
        self.items.append(item)
        self._news.set()
        return lost

    def end(self) -> None:
        """The server is going away: what waits is told, then no more."""
        self.is_over = True
        self._news.set()

    async def wait(self) -> None:
        """Until there is an item.

        Raises:
            Draining: `end` was called, and there is none.
        """
        while not self.items:
            if self.is_over:
                raise Draining
            self._news.clear()
            await self._news.wait()
