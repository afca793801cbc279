"""The store that is no store: sessions that left the arena wait in a dict."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, groupby, islice, takewhile

from service.errors import TokenLost
from service.store.contract import (
    NO_TOKEN,
    Changes,
    Committed,
    Listed,
    Record,
    Recovered,
    StoreFault,
)


@dataclass(slots=True)
class _Shelf:
    """The sessions of one model, and their ids, put in order when a page is asked for."""

    records: dict[str, Record] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    is_in_order: bool = True

    def put(self, record: Record) -> None:
        if record.session_id not in self.records:
            self.ids.append(record.session_id)
            self.is_in_order = False
        self.records[record.session_id] = record

    def remove(self, session_id: str) -> bool:
        self.is_in_order = False
        is_removed = self.records.pop(session_id, None) is not None
        if len(self.ids) > 2 * len(self.records) + 64:
            self.ids = list(self.records)
        return is_removed

    def ids_from(self, first: str, after: str) -> Iterator[str]:
        """Ids from `first` on that come after `after`, ascending."""
        if not self.is_in_order:
            # Nearly in order but for newcomers at the end, which is what this sort is fast at. An id that
            # was removed and came back stands there twice.
            self.ids.sort()
            self.ids = [name for name, _ in groupby(self.ids) if name in self.records]
            self.is_in_order = True
        start = max(bisect_left(self.ids, first), bisect_right(self.ids, after))
        return islice(self.ids, start, None)


class MemoryStore:
    """See `SessionStore`. Ends with the process; `commit` is never called."""

    is_durable = False
    is_shared = False

    def __init__(self, ttl_s: float, clock: Callable[[], float]) -> None:
        """`clock` tells the seconds since 1970-01-01 UTC."""
        self._ttl_s = ttl_s
        self._clock = clock
        self._tokens = count(NO_TOKEN + 1)
        self._shelves: dict[str, _Shelf] = {}

    async def load(self, model: str, session_ids: Sequence[str]) -> list[Record | StoreFault | None]:
        """See `SessionStore`."""
        shelf = self._shelf(model)
        loaded: list[Record | StoreFault | None] = []
        for session_id in session_ids:
            record = self._living(shelf, session_id)
            if record is not None:
                record = replace(record, token=next(self._tokens))
                shelf.put(record)
            loaded.append(record)
        return loaded

    async def peek(self, model: str, session_id: str) -> Record | StoreFault | None:
        """See `SessionStore`."""
        record = self._living(self._shelf(model), session_id)
        return None if record is None else replace(record, token=NO_TOKEN)

    async def commit(self, model: str, changes: Changes) -> Committed:
        """Not for this store."""
        raise NotImplementedError("nothing is committed to a store that is not durable")

    async def save(self, model: str, records: Sequence[Record]) -> list[int]:
        """See `SessionStore`."""
        shelf = self._shelf(model)
        lost = [record.session_id for record in records if self._is_lost(shelf, record)]
        if lost:
            raise TokenLost(lost)
        tokens = [record.token or next(self._tokens) for record in records]
        for record, token in zip(records, tokens, strict=True):
            shelf.put(replace(record, token=token, tail=None))
        return tokens

    async def delete(self, model: str, session_id: str) -> bool:
        """See `SessionStore`."""
        return self._shelf(model).remove(session_id)

    async def page(self, model: str, prefix: str, after: str, limit: int) -> tuple[list[Listed], str]:
        """See `SessionStore`. `after` is the last id of the page before."""
        shelf = self._shelf(model)
        named = takewhile(lambda name: name.startswith(prefix), shelf.ids_from(prefix, after))
        living = (record for record in map(shelf.records.__getitem__, named) if not self._is_over(record))
        found = [_listed(record) for record in islice(living, limit + 1)]
        return found[:limit], found[limit - 1].session_id if len(found) > limit else ""

    async def count(self, model: str, prefix: str = "") -> int:
        """See `SessionStore`."""
        return sum(name.startswith(prefix) for name in self._shelf(model).records)

    async def recover(self, model: str, num_features: int) -> Recovered:  # noqa: ARG002
        """Nothing: there is no journal."""
        return Recovered()

    async def behind(self, model: str, limit: int) -> list[str]:  # noqa: ARG002
        """None: there is no journal."""
        return []

    def backlog(self, model: str) -> int:  # noqa: ARG002
        """See `SessionStore`."""
        return 0

    async def expire(self, model: str, before_s: float) -> list[str]:
        """See `SessionStore`."""
        shelf = self._shelf(model)
        expired = [name for name, record in shelf.records.items() if record.used_at_s < before_s]
        for session_id in expired:
            shelf.remove(session_id)
        return expired

    async def close(self) -> None:
        """Nothing is under way."""

    def _shelf(self, model: str) -> _Shelf:
        return self._shelves.setdefault(model, _Shelf())

    def _living(self, shelf: _Shelf, session_id: str) -> Record | None:
        record = shelf.records.get(session_id)
        return None if record is None or self._is_over(record) else record

    def _is_over(self, record: Record) -> bool:
        return self._clock() - record.used_at_s > self._ttl_s

    @staticmethod
    def _is_lost(shelf: _Shelf, record: Record) -> bool:
        if record.token == NO_TOKEN:
            return False
        held = shelf.records.get(record.session_id)
        return held is None or held.token != record.token


def _listed(record: Record) -> Listed:
    return Listed(record.session_id, record.digest, record.position, record.last_time_us, record.used_at_s)
