"""Sessions between slots and records: states packed and unpacked, in the version that each is of."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

import numpy as np
import structlog

from service.clock import Clock
from service.engine.arena import Slots
from service.engine.model import ServedModel
from service.engine.runner import Reply
from service.errors import DamagedState, ForeignState, StatecastError
from service.sessions.info import SessionInfo
from service.sessions.recent_rows import RecentRows
from service.sessions.versions import Loaded, Versions
from service.store.contract import NO_TIME, Record, StoreFault
from service.store.table import SessionTable
from service.tenant import own_id

_log = structlog.get_logger()

# States that are unpacked together: some megabytes.
_RESTORED_AT_ONCE = 4096

# The version of the model whose file has a digest, None where there is none.
Fetch = Callable[[str], Awaitable[ServedModel | None]]


class Placement:
    """Reads sessions out of the table and the versions' arenas, and puts them there.

    Called between runs only, but for reading sessions that no run may step.
    """

    def __init__(
        self, versions: Versions, table: SessionTable, recent: RecentRows, clock: Clock, fetch: Fetch | None
    ) -> None:
        self.versions, self.table, self.recent = versions, table, recent
        self._name = versions.newest.model.name
        self._clock = clock
        self._fetch = fetch

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
            raise ForeignState(self._name, digest, served)
        return loaded

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

    def replay(self, newest: Loaded, slots: Slots) -> None:
        """The newest version's states after the recent rows of each session."""
        newest.model.runner.reset(slots)
        rows = {slot: self.recent.get(slot) for slot in slots.tolist()}
        for length in {len(each) for each in rows.values()} - {0}:
            mine = [slot for slot, each in rows.items() if len(each) == length]
            stacked = np.stack([rows[slot] for slot in mine])
            newest.model.runner.step(np.array(mine, np.int64), stacked, Reply.NONE)

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
