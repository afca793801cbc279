"""Who makes a call, and for whom."""

import re
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from service.clock import Clock
from service.errors import PermissionDenied
from service.security.rate import RowRate
from service.tenant import prefix_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Role(StrEnum):
    """What a caller may do."""

    PREDICT = "predict"
    OPERATE = "operate"


class Tenant:
    """Whose sessions a caller's ids name. The nameless one is everybody's where there are no tenants.

    Attributes:
        name: empty for the nameless one.
        prefix: what the keys of its sessions begin with.
        num_handles: that its streams have named and hold.
    """

    __slots__ = ("_rate", "name", "num_handles", "prefix")

    def __init__(self, name: str, rate: RowRate | None = None) -> None:
        self.name, self.prefix = name, prefix_of(name)
        self._rate = rate
        self.num_handles = 0

    def key(self, session_id: str) -> str:
        """What a session of its is called inside the server."""
        return self.prefix + session_id

    def take(self, num_rows: int) -> None:
        """Rows, or a call that counts as so many, are about to be served.

        Raises:
            RateLimited: it has sent too many.
        """
        if self._rate is not None:
            self._rate.take(num_rows)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a call."""

    tenant: Tenant
    role: Role


def check_operator(caller: Caller, *, has_operators: bool) -> None:
    """Whether a caller may make a call that is an operator's.

    Args:
        has_operators: whether anybody may.

    Raises:
        PermissionDenied: not this one.
    """
    if not has_operators:
        raise PermissionDenied("calls that change what is served are off here (admin_calls)")
    if caller.role is not Role.OPERATE:
        raise PermissionDenied("this call wants the role operate")


class Tenants:
    """The tenants that have called, each with its rate."""

    def __init__(self, rows_per_s: float, clock: Clock) -> None:
        """`rows_per_s` of each; 0 for no bound."""
        self._rows_per_s, self._clock = rows_per_s, clock
        self._tenants: dict[str, Tenant] = {}

    def get(self, name: str) -> Tenant:
        """One of them, by a name that `is_name` holds for, or the nameless one."""
        tenant = self._tenants.get(name)
        if tenant is None:
            rate = RowRate(self._rows_per_s, self._clock) if self._rows_per_s else None
            tenant = self._tenants[name] = Tenant(name, rate)
        return tenant


def is_name(text: str) -> bool:
    """Whether a text can be a tenant's name."""
    return _NAME.fullmatch(text) is not None


# Where nobody is asked who they are. Calls are told apart by the task that serves them.
CALLER: ContextVar[Caller] = ContextVar("CALLER", default=Caller(Tenant(""), Role.OPERATE))  # noqa: B039


def tenant() -> Tenant:
    """Of the call that is served."""
    return CALLER.get().tenant
