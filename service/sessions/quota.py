"""How many sessions each tenant may have."""

from collections.abc import Awaitable, Callable

from service.clock import Clock
from service.errors import TooManySessions
from service.tenant import prefix_of, tenant_of

# Counting asks the store, or walks over memory: a tenant at its bound is counted anew this often.
_COUNT_EVERY_S = 10.0


class Quota:
    """Counts a tenant's sessions when it first opens one, and from then on those that are opened and end.

    What other replicas open and end is seen with the next count, which comes before a session is refused.
    """

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit, self._clock = limit, clock
        self._nums: dict[str, int] = {}
        self._counted_at_s: dict[str, float] = {}

    def admit_now(self, key: str, count: Callable[[str], int]) -> None:
        """A session is about to be opened. `count` tells how many keys begin with a prefix.

        Raises:
            TooManySessions: its tenant has as many as it may.
        """
        tenant = tenant_of(key)
        if self._is_to_count(tenant):
            self._counted(tenant, count(prefix_of(tenant)))
        self._take(tenant)

    async def admit(self, key: str, count: Callable[[str], Awaitable[int]]) -> None:
        """As `admit_now`, where the store is asked.

        Raises:
            TooManySessions: its tenant has as many as it may.
            StoreUnavailable: the store does not tell.
        """
        tenant = tenant_of(key)
        if self._is_to_count(tenant):
            self._counted(tenant, await count(prefix_of(tenant)))
        self._take(tenant)

    def ended(self, key: str) -> None:
        """A session is no more."""
        tenant = tenant_of(key)
        if self._nums.get(tenant):
            self._nums[tenant] -= 1

    def _is_to_count(self, tenant: str) -> bool:
        num = self._nums.get(tenant)
        if num is None:
            return True
        return num >= self._limit and (
            self._clock.monotonic_s() - self._counted_at_s[tenant] >= _COUNT_EVERY_S
        )

    def _counted(self, tenant: str, num: int) -> None:
        self._nums[tenant] = num
        self._counted_at_s[tenant] = self._clock.monotonic_s()

    def _take(self, tenant: str) -> None:
        if self._nums[tenant] >= self._limit:
            raise TooManySessions(self._limit)
        self._nums[tenant] += 1
