"""Until when a caller waits."""

import math

from service.clock import Clock
from service.rpc.status import Context


def deadline_s(context: Context, clock: Clock) -> float:
    """Of a call, on the clock; infinite where the caller waits for ever."""
    left_s = context.time_remaining()
    return math.inf if left_s is None else clock.monotonic_s() + left_s
