"""Sessions in memory: what is known of each beside its state, oldest use first."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from service.clock import Clock


@dataclass(slots=True)
class SessionRecord:
    """A session of one model, as of its last committed row.

    Attributes:
        slot: its row of the arena.
        position: rows consumed.
        last_time_us: time of its last row, microseconds since 1970-01-01 UTC; None before any had one.
        used_at_s: when a row was last committed, on the server's clock.
    """

    slot: int
    position: int = 0
    last_time_us: int | None = None
    used_at_s: float = 0.0


class MemoryStore:
    """Records by session id. A record past its time to live is as good as gone."""

    def __init__(self, ttl_s: float, clock: Clock) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._records: OrderedDict[str, SessionRecord] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def get(self, session_id: str) -> SessionRecord | None:
        """The record, or None where there is none or its time is up."""
        record = self._records.get(session_id)
        return record if record is not None and not self._is_over(record) else None

    def use(self, session_id: str) -> SessionRecord | None:
        """`get`, and its time starts anew: a session in a batch does not run out under it."""
        record = self.get(session_id)
        if record is not None:
            self.commit(session_id, record)
        return record

    def commit(self, session_id: str, record: SessionRecord) -> None:
        """Insert or replace a record; it counts as used now."""
        record.used_at_s = self._clock.monotonic_s()
        self._records[session_id] = record
        self._records.move_to_end(session_id)

    def delete(self, session_id: str) -> SessionRecord | None:
        """Forget a session; returns what was known of it."""
        return self._records.pop(session_id, None)

    def pop_expired(self) -> Iterator[tuple[str, SessionRecord]]:
        """Forget every session whose time is up, giving each to the caller, who frees its slot."""
        while self._records:
            session_id, record = next(iter(self._records.items()))
            if not self._is_over(record):
                return
            del self._records[session_id]
            yield session_id, record

    def _is_over(self, record: SessionRecord) -> bool:
        return self._clock.monotonic_s() - record.used_at_s > self._ttl_s
