"""How many rows a tenant may send: a bucket that fills at a steady rate."""

from service.clock import Clock
from service.errors import RateLimited


class RowRate:
    """Passes `rows_per_s` on the long run, and a second's worth at once.

    What is taken may be more than there is: a large request passes, and what comes after it waits until its
    rows are paid for.
    """

    def __init__(self, rows_per_s: float, clock: Clock) -> None:
        self._rows_per_s, self._clock = rows_per_s, clock
        self._rows = rows_per_s
        self._filled_at_s = clock.monotonic_s()

    def take(self, num_rows: int) -> None:
        """Rows that are about to be applied.

        Raises:
            RateLimited: those before are not paid for; says when they will be.
        """
        now_s = self._clock.monotonic_s()
        filled = self._rows + (now_s - self._filled_at_s) * self._rows_per_s
        self._rows, self._filled_at_s = min(filled, self._rows_per_s), now_s
        if self._rows <= 0:
            # A row more than nothing, so that a caller who waits as told is let through.
            raise RateLimited(self._rows_per_s, (1 - self._rows) / self._rows_per_s)
        self._rows -= num_rows
