"""When to send again, and when to give up."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from statecast.errors import Overloaded, StatecastError, Unanswered


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential backoff with jitter, all attempts of one call within a budget.

    Args:
        budget_s: from the first attempt to the last pause; 0 never sends again.
        attempt_timeout_s: how long one attempt may take.
        clock: seconds that only go forward.
        jitter: a number in [0, 1); spreads clients that failed together.
    """

    budget_s: float = 30.0
    attempt_timeout_s: float = 10.0
    first_pause_s: float = 0.05
    longest_pause_s: float = 2.0
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        for name in ("budget_s", "attempt_timeout_s"):
            value = getattr(self, name)
            if not 0 <= value < float("inf") or (name == "attempt_timeout_s" and value == 0):
                raise ValueError(f"{name}: expected a finite number of seconds, found {value}")

    def start(self) -> "Attempts":
        """The attempts of a new call."""
        return Attempts(self)


class Attempts:
    """One call's attempts so far.

    `in_doubt` tells whether any of them ended without an answer, so that it may have been applied.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self.in_doubt = False
        self._policy = policy
        self._start_s = policy.clock()
        self._num_failed = 0

    @property
    def timeout_s(self) -> float:
        """How long the next attempt may take."""
        return self._policy.attempt_timeout_s

    def pause_s(self, error: StatecastError) -> float | None:
        """How long to wait before sending again after `error`; None to give up."""
        if isinstance(error, Unanswered):
            self.in_doubt = True
        if not error.retryable:
            return None
        self._num_failed += 1
        pause_s = self._backoff_s()
        if isinstance(error, Overloaded) and error.retry_after_s is not None:
            if error.retry_after_s < 0:
                return None
            # Never sooner than asked; a little later, so that not all come back at once.
            pause_s = error.retry_after_s * (1 + 0.1 * self._policy.jitter())
        elapsed_s = self._policy.clock() - self._start_s
        return pause_s if elapsed_s + pause_s <= self._policy.budget_s else None

    def _backoff_s(self) -> float:
        policy = self._policy
        # The exponent is bounded only to keep the power finite.
        longest_s = min(policy.first_pause_s * 2.0 ** min(self._num_failed - 1, 30), policy.longest_pause_s)
        return longest_s * (0.5 + 0.5 * policy.jitter())
