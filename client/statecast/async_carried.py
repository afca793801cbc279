"""`CarriedSession` for asyncio."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from statecast.async_stream import run
from statecast.carried_flow import CarriedFlow
from statecast.flow import Step
from statecast.forecast import ForecastResult
from statecast.rows import ReplyName


class AsyncCarriedSession:
    """`CarriedSession`, awaited. A call that is cancelled leaves the state as it was."""

    def __init__(self, core: CarriedFlow, perform: Callable[[Step], Awaitable[Any]]) -> None:
        self._core, self._perform = core, perform
        self._lock = asyncio.Lock()

    @property
    def session_id(self) -> str:
        """The series, in the caller's words."""
        return self._core.session_id

    @property
    def sealed(self) -> bytes:
        """The state after the last answer; empty before the first."""
        return self._core.sealed

    @property
    def position(self) -> int | None:
        """Rows the state has consumed; None where it was given and no answer has told yet."""
        return self._core.position

    async def forecast(
        self, rows: Any, times: Any = None, reply: ReplyName = "last", horizon: int | None = None
    ) -> ForecastResult:
        """Apply rows and return forecasts; as `CarriedSession.forecast`."""
        async with self._lock:
            return await run(self._core.forecast(rows, times, reply, horizon), self._perform)

    async def observe(self, rows: Any, times: Any = None) -> ForecastResult:
        """Apply rows without a forecast; otherwise as `forecast`."""
        return await self.forecast(rows, times, reply="none")
