"""Rows for one session, and what became of them."""

import asyncio
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from service.engine.runner import Forecasts, Reply, Rows

Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows for one session, as they came; checked against the model.

    Attributes:
        values: (T, F) float64, raw units, NaN where missing; T >= 1.
        times_us: (T,) int64 microseconds since 1970-01-01 UTC, or None.
        position: rows the session had consumed before the first row here, or None for "as they arrive".
        reply: which forecasts to return.
    """

    session_id: str
    values: Rows
    times_us: Times | None
    position: int | None
    reply: Reply


@dataclass(frozen=True, slots=True)
class Applied:
    """A committed chunk.

    Attributes:
        position: rows the session has consumed now.
        num_skipped: rows below the committed position.
        num_late: rows at or before the session's last time; consumed, not stepped.
        num_missing_steps: steps that gaps in time inserted.
        forecasts: (N, K, Q) float32: one per applied row for EACH, one for LAST, none for NONE. Where
            every row was skipped or late: one, of the session as it stands.
        forecast_positions: (N,) int64: rows the session had consumed when each forecast was made.
    """

    position: int
    num_skipped: int
    num_late: int
    num_missing_steps: int
    forecasts: Forecasts
    forecast_positions: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ended:
    """A session as it stood when it was read or deleted."""

    position: int
    last_time_us: int | None


@dataclass(frozen=True, slots=True)
class Deletion:
    """Ends a session, after the rows that arrived before it."""

    session_id: str


@dataclass(slots=True)
class Waiting:
    """A chunk or a deletion in a worker's queue, and whoever waits for it."""

    request: Chunk | Deletion
    done: "asyncio.Future[Applied | Ended]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    @property
    def num_rows(self) -> int:
        """Rows that wait."""
        return len(self.request.values) if isinstance(self.request, Chunk) else 0
