"""What is told of sessions to those who look after them."""

from dataclasses import dataclass
from enum import IntEnum

from service.store.contract import Record


class SessionEvent(IntEnum):
    """What happens to a session beside its rows; the numbers are those of `session.proto`."""

    EVICTED = 1
    EXPIRED = 2
    DELETED = 3
    RESET = 4
    TAKEN_OVER = 5
    UPGRADED = 6


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session as it stands.

    Attributes:
        version: of the model whose state it holds; 0 where that version is not loaded.
        last_time_us: None before any row had a time.
        used_at_s: when a row last came, seconds since 1970-01-01 UTC.
        in_memory: whether this server holds it; otherwise the store does.
    """

    session_id: str
    version: int
    digest: str
    position: int
    last_time_us: int | None
    used_at_s: float
    in_memory: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session with its state, as it stood between two batches."""

    info: SessionInfo
    record: Record
