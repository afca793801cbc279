"""A session that the server does not keep."""

import threading
from collections.abc import Callable
from typing import Any

from statecast.carried_flow import CarriedFlow
from statecast.flow import Step
from statecast.forecast import ForecastResult
from statecast.rows import ReplyName
from statecast.sync_stream import run


class CarriedSession:
    """One series whose state travels with each request: the server keeps nothing of it.

    The state comes back sealed; only servers that have the key read it, and only for this session. Keep
    `sealed` wherever you like, and go on from it at any server of theirs. Safe to share between threads.
    """

    def __init__(self, core: CarriedFlow, perform: Callable[[Step], Any]) -> None:
        self._core, self._perform = core, perform
        self._lock = threading.Lock()

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

    def forecast(
        self, rows: Any, times: Any = None, reply: ReplyName = "last", horizon: int | None = None
    ) -> ForecastResult:
        """Apply rows and return forecasts; arguments as for `Session.forecast`.

        Raises:
            DataLoss: the state does not open: changed, another session's, or its key was dropped.
            SessionMismatch: it is of a version of the model that is not served.
            StatecastError: anything else that the server said; the state is as it was.
        """
        with self._lock:
            return run(self._core.forecast(rows, times, reply, horizon), self._perform)

    def observe(self, rows: Any, times: Any = None) -> ForecastResult:
        """Apply rows without a forecast; otherwise as `forecast`."""
        return self.forecast(rows, times, reply="none")
