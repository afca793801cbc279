"""Requests of one sequence, one after the other: each begins when the one before it is answered."""

import asyncio
from collections.abc import Sequence


class SequenceOrder:
    """The sequences that requests are under way for. Not thread-safe: the event loop owns it.

    Attributes:
        num_rows: rows of requests that wait for their turn.
    """

    def __init__(self) -> None:
        self._last: dict[str, Turn] = {}
        self.num_rows = 0

    def enter(self, sequence_ids: Sequence[str], num_rows: int) -> "Turn":
        """Take a place behind every request that names one of these sequences.

        All places are taken at once, so that no two requests can wait for each other.
        """
        return Turn(self, self._last, sequence_ids, num_rows)


class Turn:
    """A request's place."""

    def __init__(
        self, order: SequenceOrder, last: "dict[str, Turn]", sequence_ids: Sequence[str], num_rows: int
    ) -> None:
        self._order, self._last, self._ids, self._num_rows = order, last, sequence_ids, num_rows
        before = {turn for name in sequence_ids if (turn := last.get(name)) is not None}
        self._num_before = len(before)
        self._behind: list[Turn] = []
        self._has_come: asyncio.Future[None] | None = None
        self._has_left = False
        for turn in before:
            turn._behind.append(self)
        for name in sequence_ids:
            last[name] = self

    async def come(self) -> None:
        """Wait until every request before is answered."""
        if not self._num_before:
            return
        self._has_come = asyncio.get_running_loop().create_future()
        self._order.num_rows += self._num_rows
        try:
            await self._has_come
        finally:
            self._order.num_rows -= self._num_rows

    def leave(self) -> None:
        """The request is answered, or given up; those behind still wait for those before."""
        self._has_left = True
        if not self._num_before:
            self._go()

    def _go(self) -> None:
        """In a loop: a whole line may have been given up."""
        going = [self]
        while going:
            turn = going.pop()
            for name in turn._ids:
                if self._last.get(name) is turn:
                    del self._last[name]
            for behind in turn._behind:
                behind._num_before -= 1
                if behind._num_before:
                    continue
                if behind._has_left:
                    going.append(behind)
                elif behind._has_come is not None and not behind._has_come.done():
                    behind._has_come.set_result(None)
