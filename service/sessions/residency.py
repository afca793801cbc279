"""Which sessions are in memory: they come from the store with a row, and leave for it when room is short."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import structlog

from service.clock import Clock
from service.engine.arena import Slots
from service.engine.model import ServedModel
from service.engine.runner import Reply
from service.errors import (
    DamagedState,
    ForeignState,
    StatecastError,
    StoreUnavailable,
    TokenLost,
    TooManySessions,
)
from service.sessions.counts import Counts
from service.sessions.info import SessionEvent, SessionInfo
from service.sessions.quota import Quota
from service.sessions.recent_rows import RecentRows
from service.sessions.versions import Loaded, UpgradePolicy, Versions
from service.store.contract import NO_TIME, NO_TOKEN, Record, SessionStore, StoreFault
from service.store.table import SessionTable
from service.tenant import SEPARATOR, own_id

_log = structlog.get_logger()

# Sessions that make room at once, as a part of all there is room for, and at most.
_LEAVING_PART, _MOST_LEAVING = 64, 1024
# Sessions that may be on their way out while the store does not take them.
_MAX_LEAVING = 65_536
# States that are unpacked together: some megabytes.
_RESTORED_AT_ONCE = 4096

Listener = Callable[[SessionEvent, SessionInfo], None]
# The version of the model whose file has a digest, None where there is none.
Fetch = Callable[[str], Awaitable[ServedModel | None]]


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
        self._fetch = fetch
        self._leaving: dict[str, Record] = {}
        self._listeners: list[Listener] = []
        # Sessions that have ended in memory since the store was last asked for those that are over.
        self._told_expired: set[str] = set()

    @property
    def is_settled(self) -> bool:
        """Whether nothing is to be loaded, saved or upgraded before a batch is taken."""
        return not (self.table.unloaded or self._leaving or self.is_upgrading)

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
            ids = [self.table.session_id(slot) for slot in slots]
            generations = self.table.generations[slots]
            missing = [name for name in ids if name not in self._leaving]
            found: dict[str, Record | StoreFault | None] = dict(self._leaving)
            try:
                if missing:
                    loaded = await self.store.load(self.name, missing)
                    found.update(zip(missing, loaded, strict=True))
            except StoreUnavailable as error:
                failed.update(dict.fromkeys(slots, error))
                continue
            await self.fetch_versions(found.values())
            # Counted once: it looks at every slot there is.
            room = self._max_sessions - len(self.table) - self.num_elsewhere
            there = self.table.generations[slots] == generations
            known: list[tuple[int, Record]] = []
            for slot, name, is_there in zip(slots, ids, there.tolist(), strict=True):
                self._leaving.pop(name, None)
                record = found[name]
                if isinstance(record, Record):
                    self.num_elsewhere = max(self.num_elsewhere - 1, 0)
                    if not self.store.is_durable:
                        # It lives in memory alone from now on.
                        await self.store.delete(self.name, name)
                        record = replace(record, token=NO_TOKEN)
                    if is_there:
                        known.append((slot, record))
                elif record is None:
                    try:
                        if room <= 0:
                            raise TooManySessions(self._max_sessions)
                        await self.admit(name)
                    except (TooManySessions, StoreUnavailable) as error:
                        failed[slot] = error
                    room -= 1
                elif is_there:
                    failed[slot] = DamagedState(f"session {own_id(record.session_id)!r}", record.reason)
            misplaced = self.place_all([slot for slot, _ in known], [record for _, record in known])
            self.counts.sessions_loaded += len(known) - len(misplaced)
            failed.update(misplaced)
        return failed

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
            num += sum(name.startswith(prefix) for name in self._leaving)
        return num

    def ended_one(self, session_id: str) -> None:
        """A session is no more, wherever it was."""
        if self._quota is not None:
            self._quota.ended(session_id)

    def record(self, slot: int) -> Record:
        """A session of memory with a copy of its state."""
        return self.records([slot])[0]

    def records(self, slots: Sequence[int]) -> list[Record]:
        """Sessions of memory with copies of their states."""
        now_s = self._clock.wall_s()
        states: dict[int, bytes] = {}
        for loaded, mine in self.by_version(np.array(slots, np.int64)):
            packed = loaded.states.pack(loaded.model.runner.states(mine))
            states.update(zip(mine.tolist(), map(bytes, packed), strict=True))
        table = self.table
        return [
            Record(
                table.session_id(slot),
                self.versions[int(table.versions[slot])].model.manifest.digest,
                int(table.positions[slot]),
                int(table.last_times_us[slot]),
                states[slot],
                self.recent.get(slot).tobytes(),
                table.used_at_s(slot, now_s),
                int(table.tokens[slot]),
            )
            for slot in slots
        ]

    def by_version(self, slots: Slots) -> Iterable[tuple[Loaded, Slots]]:
        """Slots (B,) by the version whose state each holds."""
        if len(self.versions) == 1:
            yield self.versions.newest, slots
            return
        versions = self.table.versions[slots]
        for index in np.unique(versions).tolist():
            yield self.versions[index], slots[versions == index]

    def place(self, slot: int, record: Record) -> None:
        """Put a session into a slot of its own.

        Raises:
            ForeignState, DamagedState: see `check`.
        """
        self.check(record)
        self.place_all([slot], [record])

    def place_all(self, slots: Sequence[int], records: Sequence[Record]) -> dict[int, StatecastError]:
        """Put sessions into slots of their own; returns the slots of those that cannot be, and why."""
        failed: dict[int, StatecastError] = {}
        by_version: dict[int, list[tuple[int, Record]]] = {}
        for slot, record in zip(slots, records, strict=True):
            try:
                by_version.setdefault(self.check(record).index, []).append((slot, record))
            except StatecastError as error:
                failed[slot] = error
        for index, placed in by_version.items():
            loaded = self.versions[index]
            self._restore(loaded, placed)
            self.table.place_all(
                np.array([slot for slot, _ in placed]),
                [record for _, record in placed],
                index,
                self._clock.wall_s(),
            )
            for slot, record in placed:
                self._catch_up(loaded, slot, record)
        return failed

    def _restore(self, loaded: Loaded, placed: Sequence[tuple[int, Record]]) -> None:
        fresh = [slot for slot, record in placed if not record.states]
        if fresh:
            loaded.model.runner.reset(np.array(fresh))
        kept = [(slot, record.states) for slot, record in placed if record.states]
        for start in range(0, len(kept), _RESTORED_AT_ONCE):
            slots, states = zip(*kept[start : start + _RESTORED_AT_ONCE], strict=True)
            loaded.model.runner.restore(np.array(slots), loaded.states.unpack(states))

    def _catch_up(self, loaded: Loaded, slot: int, record: Record) -> None:
        """The recent rows, and the rows that the store has beyond the states."""
        if self.recent.num_rows:
            self.recent.put(slot, record.recent)
        tail = record.tail
        if tail is None:
            return
        if len(tail.rows):
            slots, rows = np.array([slot]), tail.rows[None]
            loaded.model.runner.step(slots, rows, Reply.NONE)
            self.recent.add(slots, rows)
        self.table.move(slot, tail.position, tail.last_time_us)

    def check(self, record: Record) -> Loaded:
        """The version that a record's state is of.

        Raises:
            ForeignState: no loaded version has its state.
            DamagedState: its state has another size.
        """
        loaded = self.version_of(record.digest)
        if len(record.states) not in (0, loaded.states.num_bytes):
            found = f"{len(record.states)} bytes of state, expected {loaded.states.num_bytes}"
            raise DamagedState(f"session {own_id(record.session_id)!r}", found)
        return loaded

    def version_of(self, digest: str) -> Loaded:
        """The loaded version of a model file.

        Raises:
            ForeignState: there is none.
        """
        loaded = self.versions.by_digest(digest)
        if loaded is None:
            served = [each.model.manifest.digest for each in self.versions.all()]
            raise ForeignState(self.name, digest, served)
        return loaded

    def end(self, slot: int) -> None:
        """A session of memory is over; rows that wait for it begin a new one."""
        for loaded in self.versions.all():
            loaded.model.runner.reset(np.array([slot]))
        self.recent.clear(np.array([slot]))
        self.table.end(slot)
        self.table.versions[slot] = self.versions.newest.index

    async def save_leaving(self) -> None:
        """Hand over those that made room. What the store does not take now stays for the next time."""
        leaving = dict(self._leaving)
        if not leaving:
            return
        try:
            await self.store.save(self.name, list(leaving.values()))
        except TokenLost as error:
            # Others have gone on with them since: theirs is the newer state.
            for session_id in error.session_ids:
                self._leaving.pop(session_id, None)
            return
        except StoreUnavailable as error:
            _log.warning("sessions cannot leave memory", reason=str(error), num_sessions=len(leaving))
            return
        for session_id, record in leaving.items():
            if self._leaving.get(session_id) is record:
                del self._leaving[session_id]

    async def save_named(self, session_ids: Sequence[str]) -> int:
        """Checkpoint those of these sessions that are in memory; returns how many."""
        found = [self.table.find_or_none(name) for name in session_ids]
        slots = [slot for slot in found if slot is not None]
        if slots:
            await self.save(slots)
        return len(slots)

    async def save(self, slots: Sequence[int]) -> None:
        """Checkpoint sessions of memory, which stay there; sessions that others took over are forgotten."""
        records = self.records(slots)
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
            self.tell(SessionEvent.TAKEN_OVER, self.info(slot))
        self.table.unload(slots)

    async def upgrade(self, slots: Slots) -> None:
        """Take those of `slots` whose version says so over to the newest.

        Raises:
            StoreUnavailable: they stand on the new version in memory, and are saved with a later batch.
        """
        newest = self.versions.newest
        upgraded: list[int] = []
        for old, mine in self.by_version(slots):
            if old.policy is UpgradePolicy.PIN or old.index == newest.index or not len(mine):
                continue
            if old.policy is UpgradePolicy.CARRY:
                newest.model.runner.restore(mine, old.model.runner.states(mine))
            else:
                self._replay(newest, mine)
            self.table.versions[mine] = newest.index
            # A state that no session has is nobody's to be told of, or to be kept.
            upgraded += [slot for slot in mine.tolist() if slot not in self.table.borrowed]
        if not upgraded:
            return
        for slot in upgraded:
            self.tell(SessionEvent.UPGRADED, self.info(slot))
        if self.store.is_durable:
            await self.save(upgraded)

    def idle_s(self, used_at_s: float) -> float:
        """How long ago, at least 0, something was that happened at `used_at_s` since 1970-01-01 UTC."""
        return max(self._clock.wall_s() - used_at_s, 0.0)

    def info(self, slot: int) -> SessionInfo:
        """Of a session in memory."""
        model = self.versions[int(self.table.versions[slot])].model
        return SessionInfo(
            self.table.session_id(slot),
            model.version,
            model.manifest.digest,
            int(self.table.positions[slot]),
            self.table.last_time_us(slot),
            self.table.used_at_s(slot, self._clock.wall_s()),
            in_memory=True,
        )

    def info_of(self, record: Record) -> SessionInfo:
        """Of a session that is not in memory."""
        loaded = self.versions.by_digest(record.digest)
        last = None if record.last_time_us == NO_TIME else record.last_time_us
        return SessionInfo(
            record.session_id,
            loaded.model.version if loaded else 0,
            record.digest,
            record.position,
            last,
            record.used_at_s,
            in_memory=False,
        )

    def leaving(self, session_id: str) -> Record | None:
        """A session that is on its way to the store."""
        return self._leaving.get(session_id)

    def drop_leaving(self, session_id: str) -> None:
        """It need not be saved any more."""
        self._leaving.pop(session_id, None)

    async def fetch_versions(self, records: Iterable[Record | StoreFault | None]) -> None:
        """Load the versions that records need. One that cannot be had makes its sessions foreign."""
        needed = {record.digest for record in records if isinstance(record, Record)}
        for digest in needed:
            if self.versions.by_digest(digest) is None and self._fetch is not None:
                model = await self._fetch(digest)
                if model is not None and self._reads_alike(model):
                    self.versions.adopt(model)

    def _reads_alike(self, model: ServedModel) -> bool:
        """Whether a version's rows are those of the newest: sessions of one that reads others are foreign."""
        newest, layout = self.versions.newest.model, model.manifest.row_layout
        if layout == newest.manifest.row_layout:
            return True
        _log.warning(
            "a version reads other columns than the one that is served: its sessions stay in the store",
            model=model.name,
            version=model.version,
            served=newest.version,
        )
        return False

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
            self.tell(SessionEvent.EXPIRED, self.info_of(unknown))
        self._told_expired.clear()

    def num_sessions(self, index: int) -> int:
        """Sessions in memory that are on a version, those counted in whose first row waits."""
        return int((self.table.versions[self.table.in_use()] == index).sum())

    def _replay(self, newest: Loaded, slots: Slots) -> None:
        """The newest version's states after the recent rows of each session."""
        newest.model.runner.reset(slots)
        rows = {slot: self.recent.get(slot) for slot in slots.tolist()}
        for length in {len(each) for each in rows.values()} - {0}:
            mine = [slot for slot, each in rows.items() if len(each) == length]
            stacked = np.stack([rows[slot] for slot in mine])
            newest.model.runner.step(np.array(mine, np.int64), stacked, Reply.NONE)

    def _make_room(self) -> None:
        if len(self._leaving) >= _MAX_LEAVING or (not self.store.is_durable and self._is_full):
            return
        limit = min(max(self.table.capacity // _LEAVING_PART, 1), _MOST_LEAVING)
        slots = self.table.oldest_idle(limit)
        if not slots:
            return
        if not self.store.is_shared:
            self._leaving.update((record.session_id, record) for record in self.records(slots))
        for slot in slots:
            self.tell(SessionEvent.EVICTED, self.info(slot))
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
        self.tell(SessionEvent.EXPIRED, self.info(slot))
