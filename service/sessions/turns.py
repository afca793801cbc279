"""When a batch is taken: as soon as what comes together is here."""

import asyncio
from collections.abc import Callable

# What is sent together comes over several turns of the event loop, a few messages each.
_MAX_GATHERING_TURNS = 6


class Turns:
    """Calls `act` on the event loop after something came, and once a turn of the loop has brought no more.

    No timer: a lone message is acted on in the next turn, and a steady flow waits for a few turns at most.
    """

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._is_open = False
        self._is_scheduled = False
        self._has_news = False
        self._num_gathering = 0
        self._failed: asyncio.Future[None] | None = None

    def call(self) -> None:
        """Something came."""
        if self._is_scheduled:
            self._has_news = True
        elif self._is_open:
            self._is_scheduled = True
            self._num_gathering = 0
            asyncio.get_running_loop().call_soon(self._turn)

    async def run(self) -> None:
        """Act until cancelled.

        Raises:
            Exception: what `act` raised, which only a defect makes it do.
        """
        self._failed = asyncio.get_running_loop().create_future()
        self._is_open = True
        self.call()
        try:
            await self._failed
        finally:
            self._is_open = False

    def guard(self, act: Callable[[], None]) -> None:
        """Call `act` now; what it raises ends `run`."""
        try:
            act()
        except Exception as error:
            self._is_open = False
            if self._failed is None or self._failed.done():
                raise
            self._failed.set_exception(error)

    def _turn(self) -> None:
        if self._has_news and self._num_gathering < _MAX_GATHERING_TURNS:
            self._has_news = False
            self._num_gathering += 1
            asyncio.get_running_loop().call_soon(self._turn)
            return
        self._is_scheduled = self._has_news = False
        if self._is_open:
            self.guard(self._act)
