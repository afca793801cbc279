"""Which sessions are in memory: they come from the store with a row, and leave for it when room is short."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from service.clock import Clock
from service.engine.arena import Slots
from service.errors import (
    DamagedState,
    StatecastError,
    StoreUnavailable,
    TokenLost,
    TooManySessions,
)
from service.sessions.counts import Counts
from service.sessions.info import SessionEvent, SessionInfo
from service.sessions.leaving import Leaving
from service.sessions.placement import Fetch, Placement
from service.sessions.quota import Quota
from service.sessions.recent_rows import RecentRows
from service.sessions.versions import UpgradePolicy, Versions
from service.store.contract import NO_TIME, NO_TOKEN, Record, SessionStore, StoreFault
from service.store.table import SessionTable
from service.tenant import SEPARATOR, own_id

# Sessions that make room at once, as a part of all there is room for, and at most.
_LEAVING_PART, _MOST_LEAVING = 64, 1024
Listener = Callable[[SessionEvent, SessionInfo], None]


class Residency:
    """The sessions in memory, their states in the versions' arenas, and the way to and from the store.

    Called between runs only, but for `make_room`, which touches no session that a run may step.
    """

    def __init__(
        self,
        versions: Versions,
        max_sessions: int,
        ttl_s: float,
        num_recent_rows: int,
        clock: Clock,
        store: SessionStore,
        fetch: Fetch | None = None,
        quota: Quota | None = None,
    ) -> None:
        """`quota` bounds each tenant's sessions, beside `max_sessions`, which bounds all of them."""
        model = versions.newest.model
        self.name, self.versions, self.store = model.name, versions, store
        self._quota = quota
        admit = None if quota is None else self._admit_now
        self.table = SessionTable(
            model.name, model.capacity, ttl_s, clock, self._make_room, self._expired, admit
        )
        self.table.must_load = store.is_durable
        self.counts = Counts()
        self.recent = RecentRows(model.capacity, num_recent_rows, model.manifest.row_layout.width)
        # Sessions that are not in memory; as other replicas open and end them, an estimate.
        self.num_elsewhere = 0
        self._max_sessions = max_sessions
        self._clock = clock
        self.leaving = Leaving(self.name, store)
        self.placement = Placement(versions, self.table, self.recent, clock, fetch)
        self._listeners: list[Listener] = []
        # Sessions that have ended in memory since the store was last asked for those that are over.
        self._told_expired: set[str] = set()

    @property
    def is_settled(self) -> bool:
        """Whether nothing is to be loaded, saved or upgraded before a batch is taken."""
        return not (self.table.unloaded or self.leaving or self.is_upgrading)

    @property
    def is_upgrading(self) -> bool:
        """Whether sessions of older versions are to go over to the newest."""
        return any(loaded.policy is not UpgradePolicy.PIN for loaded in self.versions.all())

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` what happens to sessions; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tell(self, event: SessionEvent, info: SessionInfo) -> None:
        """Something happened to a session."""
        for listener in list(self._listeners):
            listener(event, info)

    def reset_dirty(self) -> None:
        """States of slots given back since; nobody steps them before."""
        if self.table.dirty:
            dirty = np.unique(np.array(self.table.dirty, np.int64))
            for loaded in self.versions.all():
                loaded.model.runner.reset(dirty)
            self.recent.clear(dirty)
            self.table.dirty.clear()

    async def load_missing(self) -> dict[int, StatecastError]:
        """Load the sessions that were named since; returns the slots of those that cannot be, and why.

        A session that the store does not know is new.
        """
        failed: dict[int, StatecastError] = {}
        while self.table.unloaded:
            self.reset_dirty()
            slots = [slot for slot in dict.fromkeys(self.table.unloaded) if self.table.is_named(slot)]
            self.table.unloaded.clear()
            failed |= await self._load(slots)
        return failed

    async def _load(self, slots: Sequence[int]) -> dict[int, StatecastError]:
        ids = [self.table.session_id(slot) for slot in slots]
        generations = self.table.generations[slots]
        try:
            found = await self._find(ids)
        except StoreUnavailable as error:
            return dict.fromkeys(slots, error)
        # Counted once: it looks at every slot there is.
        room = self._max_sessions - len(self.table) - self.num_elsewhere
        there = self.table.generations[slots] == generations
        failed: dict[int, StatecastError] = {}
        known: dict[int, Record] = {}
        for slot, name, is_there in zip(slots, ids, there.tolist(), strict=True):
            self.leaving.drop(name)
            record = found[name]
            if record is None:
                try:
                    await self._admit_with(room, name)
                except (TooManySessions, StoreUnavailable) as error:
                    failed[slot] = error
                room -= 1
            elif isinstance(record, Record):
                taken = await self._taken(record)
                if is_there:
                    known[slot] = taken
            elif is_there:
                failed[slot] = DamagedState(f"session {own_id(record.session_id)!r}", record.reason)
        misplaced = self.placement.place_all(list(known), list(known.values()))
        self.counts.sessions_loaded += len(known) - len(misplaced)
        return failed | misplaced

    async def _find(self, session_ids: Sequence[str]) -> dict[str, Record | StoreFault | None]:
        """What there is of each on its way to the store or in it, and the versions that they need."""
        found: dict[str, Record | StoreFault | None] = {name: self.leaving.get(name) for name in session_ids}
        missing = [name for name, record in found.items() if record is None]
        if missing:
            found.update(zip(missing, await self.store.load(self.name, missing), strict=True))
        await self.placement.fetch_versions(found.values())
        return found

    async def _taken(self, record: Record) -> Record:
        """A record that memory has from now on, alone where the store is not durable."""
        self.num_elsewhere = max(self.num_elsewhere - 1, 0)
        if self.store.is_durable:
            return record
        await self.store.delete(self.name, record.session_id)
        return replace(record, token=NO_TOKEN)

    async def _admit_with(self, room: int, session_id: str) -> None:
        if room <= 0:
            raise TooManySessions(self._max_sessions)
        await self.admit(session_id)

    def check_room(self) -> None:
        """Before a session is opened.

        Raises:
            TooManySessions: as many are open as may be, in memory and in the store.
        """
        if self._is_full:
            raise TooManySessions(self._max_sessions)

    async def admit(self, session_id: str) -> None:
        """A session is about to be opened that the table has not admitted: the store may know of others.

        Raises:
            TooManySessions: its tenant has as many as it may.
            StoreUnavailable: the store does not tell how many it has.
        """
        # Keys of borrowed slots are of no tenant.
        if self._quota is not None and self.table.must_load and SEPARATOR in session_id:
            await self._quota.admit(session_id, self._count)

    def _admit_now(self, session_id: str) -> None:
        if self._quota is not None and SEPARATOR in session_id:
            self._quota.admit_now(session_id, self.table.num_named)

    async def _count(self, prefix: str) -> int:
        """Of a tenant, those that are only named left out where the store has every other one."""
        num = await self.store.count(self.name, prefix)
        if not self.store.is_durable:
            num += len([name for name in self.table.names() if name.startswith(prefix)])
            num += self.leaving.count(prefix)
        return num

    def ended_one(self, session_id: str) -> None:
        """A session is no more, wherever it was."""
        if self._quota is not None:
            self._quota.ended(session_id)

    def end(self, slot: int) -> None:
        """A session of memory is over; rows that wait for it begin a new one."""
        for loaded in self.versions.all():
            loaded.model.runner.reset(np.array([slot]))
        self.recent.clear(np.array([slot]))
        self.table.end(slot)
        self.table.versions[slot] = self.versions.newest.index

    async def save_named(self, session_ids: Sequence[str]) -> int:
        """Checkpoint those of these sessions that are in memory; returns how many."""
        found = [self.table.find_or_none(name) for name in session_ids]
        slots = [slot for slot in found if slot is not None]
        if slots:
            await self.save(slots)
        return len(slots)

    async def save(self, slots: Sequence[int]) -> None:
        """Checkpoint sessions of memory, which stay there; sessions that others took over are forgotten."""
        records = self.placement.records(slots)
        generations = self.table.generations[list(slots)]
        try:
            tokens = await self.store.save(self.name, records)
        except TokenLost as error:
            lost = set(error.session_ids)
            self.lose(np.array([s for s, r in zip(slots, records, strict=True) if r.session_id in lost]))
            return
        same = self.table.generations[list(slots)] == generations
        self.table.tokens[np.array(slots)[same]] = np.array(tokens, np.int64)[same]

    def lose(self, slots: Slots) -> None:
        """Another replica has these sessions: what memory has of them is old."""
        self.counts.sessions_taken_over += len(slots)
        for slot in slots.tolist():
            self.tell(SessionEvent.TAKEN_OVER, self.placement.info(slot))
        self.table.unload(slots)

    async def upgrade(self, slots: Slots) -> None:
        """Take those of `slots` whose version says so over to the newest.

        Raises:
            StoreUnavailable: they stand on the new version in memory, and are saved with a later batch.
        """
        newest = self.versions.newest
        upgraded: list[int] = []
        for old, mine in self.placement.by_version(slots):
            if old.policy is UpgradePolicy.PIN or old.index == newest.index or not len(mine):
                continue
            if old.policy is UpgradePolicy.CARRY:
                newest.model.runner.restore(mine, old.model.runner.states(mine))
            else:
                self.placement.replay(newest, mine)
            self.table.versions[mine] = newest.index
            # A state that no session has is nobody's to be told of, or to be kept.
            upgraded += [slot for slot in mine.tolist() if slot not in self.table.borrowed]
        if not upgraded:
            return
        for slot in upgraded:
            self.tell(SessionEvent.UPGRADED, self.placement.info(slot))
        if self.store.is_durable:
            await self.save(upgraded)

    def idle_s(self, used_at_s: float) -> float:
        """How long ago, at least 0, something was that happened at `used_at_s` since 1970-01-01 UTC."""
        return max(self._clock.wall_s() - used_at_s, 0.0)

    async def upgrade_some(self, limit: int) -> int:
        """Take sessions of older versions over to the one that is served; returns how many are left."""
        slots = self.table.committed()
        old = [loaded.index for loaded in self.versions.all() if loaded.policy is not UpgradePolicy.PIN]
        due = slots[np.isin(self.table.versions[slots], old)]
        if len(due):
            await self.upgrade(due[:limit])
        return max(len(due) - limit, 0)

    def ended_in_store(self, session_ids: Iterable[str]) -> None:
        """The store has ended sessions whose time to live is over; it knows their ids alone."""
        for session_id in session_ids:
            if session_id in self._told_expired or self.table.find_or_none(session_id) is not None:
                continue
            self.num_elsewhere = max(self.num_elsewhere - 1, 0)
            self.ended_one(session_id)
            unknown = Record(session_id, "", 0, NO_TIME, b"")
            self.tell(SessionEvent.EXPIRED, self.placement.info_of(unknown))
        self._told_expired.clear()

    def num_sessions(self, index: int) -> int:
        """Sessions in memory that are on a version, those counted in whose first row waits."""
        return int((self.table.versions[self.table.in_use()] == index).sum())

    def _make_room(self) -> None:
        if self.leaving.is_full or (not self.store.is_durable and self._is_full):
            return
        limit = min(max(self.table.capacity // _LEAVING_PART, 1), _MOST_LEAVING)
        slots = self.table.oldest_idle(limit)
        if not slots:
            return
        if not self.store.is_shared:
            self.leaving.add(self.placement.records(slots))
        for slot in slots:
            self.tell(SessionEvent.EVICTED, self.placement.info(slot))
            self.table.forget(slot)
        self.num_elsewhere += len(slots)
        self.counts.sessions_spilled += len(slots)
        self.table.must_load = True

    @property
    def _is_full(self) -> bool:
        return len(self.table) + self.num_elsewhere >= self._max_sessions

    def _expired(self, slot: int) -> None:
        self._told_expired.add(self.table.session_id(slot))
        self.ended_one(self.table.session_id(slot))
        self.tell(SessionEvent.EXPIRED, self.placement.info(slot))
