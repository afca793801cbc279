"""The time, as a seam: tests move it by hand."""

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds, from two starts."""

    def monotonic_s(self) -> float:
        """From an arbitrary start, never backwards."""
        ...

    def wall_s(self) -> float:
        """Since 1970-01-01 UTC: for what outlives this process."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic_s(self) -> float:
        """See `Clock.monotonic_s`."""
        return time.monotonic()

    def wall_s(self) -> float:
        """See `Clock.wall_s`."""
        return time.time()
