"""The time, as a seam: tests move it by hand."""

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds from an arbitrary start, never backwards."""

    def monotonic_s(self) -> float:
        """Now."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic_s(self) -> float:
        """Now."""
        return time.monotonic()
