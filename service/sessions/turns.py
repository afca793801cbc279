"""When a batch is taken: as soon as what comes together is here."""

import asyncio
import os
from collections.abc import Callable

# What is sent together comes over many turns of the event loop, a message or a few each, and some turns
# between them bring only the end of a write or the beginning of a call.
_NUM_QUIET_TURNS = 6
_MAX_GATHERING_TURNS = 40
# After so many acts in a row for which nothing came together, nothing is waited for until something does.
_ALONE_AFTER = 16


class Turns:
    """Calls `act` on the event loop after something came, and once a few turns of it have brought no more.

    No timer: turns of a loop that has nothing else to do take microseconds, and a steady flow is acted
    on after a bounded number of them. One that comes alone again and again is acted on at once.
    """

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._is_open = False
        self._is_scheduled = False
        self._has_news = self._had_news = False
        self._num_turns = self._num_quiet = self._num_alone = self._num_left_to_watch = 0
        self._failed: asyncio.Future[None] | None = None

    def call(self) -> None:
        """Something came."""
        if self._is_scheduled:
            self._has_news = True
        elif self._is_open:
            if self._num_left_to_watch:
                # It would have been gathered with the last.
                self._num_left_to_watch = self._num_alone = 0
            self._is_scheduled = True
            self._num_turns = self._num_quiet = 0
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
        self._num_quiet = 0 if self._has_news else self._num_quiet + 1
        self._num_turns += 1
        self._had_news |= self._has_news
        self._has_news = False
        is_alone = self._num_alone >= _ALONE_AFTER and not self._had_news
        if not is_alone and self._num_quiet <= _NUM_QUIET_TURNS and self._num_turns <= _MAX_GATHERING_TURNS:
            # gRPC's own threads, which bring the messages, may wait for this core.
            os.sched_yield()
            asyncio.get_running_loop().call_soon(self._turn)
            return
        self._is_scheduled = False
        if is_alone:
            self._num_left_to_watch = _NUM_QUIET_TURNS
            self._watch()
        self._num_alone = 0 if self._had_news else self._num_alone + 1
        self._had_news = False
        if self._is_open:
            self.guard(self._act)

    def _watch(self) -> None:
        """Whether what was acted on at once was alone is seen in the turns that were not waited for."""
        if self._num_left_to_watch:
            self._num_left_to_watch -= 1
            asyncio.get_running_loop().call_soon(self._watch)
