"""Every session of one model that is in memory, in columns: a row per slot."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from service.clock import Clock
from service.errors import TooManySessions, UnknownSession
from service.store.contract import NO_TIME, NO_TOKEN, Record
from service.store.slots import SlotAllocator, Slots

Integers = npt.NDArray[np.int64]

# A scan of a million sessions for idle ones takes milliseconds; a newcomer pays for it this often.
_SWEEP_EVERY_S = 1.0


class SessionTable:
    """What is known of each session beside its state. Not thread-safe: the event loop owns it.

    A session that was named but has committed nothing holds a slot while rows wait for it, and is
    unknown to everybody else.

    Attributes:
        positions: (capacity,) rows consumed.
        last_times_us: (capacity,) time of the last row, NO_TIME before any had one.
        num_waiting: (capacity,) entries that wait or run.
        generations: (capacity,) changes when a slot passes to another session.
        tokens: (capacity,) what the store gave for each session, or NO_TOKEN.
        versions: (capacity,) which of the loaded versions of the model each session's state is of.
        dirty: slots given back whose states are still to be reset.
        unloaded: slots of sessions that the store may know, to be loaded before they are stepped.
        borrowed: slots of states that no session has and nobody keeps.
        must_load: whether the store may know a session that this table does not.
    """

    def __init__(
        self,
        model: str,
        capacity: int,
        ttl_s: float,
        clock: Clock,
        make_room: Callable[[], None] | None = None,
        expired: Callable[[int], None] | None = None,
        admit: Callable[[str], None] | None = None,
    ) -> None:
        """`admit` may refuse a session that is about to be opened, where the store need not be asked."""
        self._model = model
        self.positions: Integers = np.zeros(capacity, np.int64)
        self.last_times_us: Integers = np.full(capacity, NO_TIME, np.int64)
        self.num_waiting: npt.NDArray[np.int32] = np.zeros(capacity, np.int32)
        self.generations: npt.NDArray[np.int32] = np.zeros(capacity, np.int32)
        self.tokens: Integers = np.zeros(capacity, np.int64)
        self.versions: npt.NDArray[np.int16] = np.zeros(capacity, np.int16)
        self._is_committed: npt.NDArray[np.bool_] = np.zeros(capacity, bool)
        self._used_at_s: npt.NDArray[np.float64] = np.zeros(capacity, np.float64)
        self._allocator = SlotAllocator(capacity)
        self._slots: dict[str, int] = {}
        self._ids: list[str] = []
        self._ttl_s = ttl_s
        self._clock = clock
        self._swept_at_s = clock.monotonic_s()
        self._make_room = make_room or (lambda: None)
        self._expired = expired or (lambda _: None)
        self._admit = admit
        self.dirty: list[int] = []
        self.unloaded: list[int] = []
        self.borrowed: set[int] = set()
        self.must_load = False
        # The version that new sessions begin with.
        self.newest = 0

    def __len__(self) -> int:
        """Open sessions."""
        return int(self._is_committed.sum())

    def find(self, session_id: str) -> int:
        """The slot of an open session.

        Raises:
            UnknownSession: there is none.
        """
        slot = self._slots.get(session_id)
        if slot is None or not self._is_committed[slot] or self._is_over(slot):
            raise UnknownSession(self._model, session_id)
        return slot

    def resolve(self, session_id: str) -> int:
        """The slot of a session; a new one is given a slot in the initial state.

        Raises:
            TooManySessions: there is no room.
        """
        slot = self._slots.get(session_id)
        if slot is not None and self._is_over(slot):
            self._expire(slot)
            slot = None
        return self._add(session_id) if slot is None else slot

    def is_current(self, slots: Slots, generations: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
        """Whether slots that were resolved before still hold the same sessions."""
        idle = self._is_committed[slots] & (self.num_waiting[slots] == 0)
        is_over = idle & (self._clock.monotonic_s() - self._used_at_s[slots] > self._ttl_s)
        current: npt.NDArray[np.bool_] = (self.generations[slots] == generations) & ~is_over
        return current

    def session_id(self, slot: int) -> str:
        """Whose slot it is."""
        return self._ids[slot]

    def session_ids(self, slots: Slots) -> list[str]:
        """Whose slots they are, (N,)."""
        return list(map(self._ids.__getitem__, slots.tolist()))

    def is_still(self, slot: int, generation: int) -> bool:
        """`is_current` for one slot."""
        return self.generations.item(slot) == generation and not self._is_over(slot)

    def use(self, slots: Slots | int) -> None:
        """Rows name these sessions: their time to live starts anew, so that none ends before it is held."""
        self._used_at_s[slots] = self._clock.monotonic_s()

    def hold(self, slot: int) -> None:
        """An entry of this session waits."""
        self.num_waiting[slot] += 1

    def hold_all(self, slots: Slots) -> None:
        """Entries of these sessions wait; one that is named twice has two."""
        np.add.at(self.num_waiting, slots, 1)

    def commit(self, slots: Slots, positions: Integers, last_times_us: Integers | None) -> None:
        """Distinct sessions have consumed rows up to `positions`; None or NO_TIME keeps the last time."""
        self.positions[slots] = positions
        if last_times_us is not None:
            timed = last_times_us != NO_TIME
            self.last_times_us[slots[timed]] = last_times_us[timed]
        self._is_committed[slots] = True
        self._used_at_s[slots] = self._clock.monotonic_s()

    def commit_one(self, slot: int, position: int, time_us: int) -> float:
        """`commit` for one session; returns the time, on the clock."""
        self.positions[slot] = position
        if time_us != NO_TIME:
            self.last_times_us[slot] = time_us
        self._is_committed[slot] = True
        now_s = self._clock.monotonic_s()
        self._used_at_s[slot] = now_s
        return now_s

    def settle_committed(self, slots: Slots) -> None:
        """One entry of each of these distinct sessions, which all committed, waits no more."""
        self.num_waiting[slots] -= 1

    def settle(self, slots: Slots) -> None:
        """One entry of each of these distinct sessions waits no more. Those never committed are forgotten."""
        self.num_waiting[slots] -= 1
        idle = slots[(self.num_waiting[slots] == 0) & ~self._is_committed[slots]]
        for slot in idle.tolist():
            self._forget(slot)

    def end(self, slot: int) -> None:
        """End a session; entries that wait for it begin a new one. The state is the caller's to reset."""
        if self.num_waiting[slot]:
            self._clear(slot)
        else:
            self._forget(slot)

    @property
    def capacity(self) -> int:
        """Sessions that memory has room for."""
        return self._allocator.capacity

    def names(self) -> list[str]:
        """Ids of sessions that have committed, those of borrowed slots left out."""
        return [
            name
            for name, slot in self._slots.items()
            if self._is_committed[slot] and slot not in self.borrowed
        ]

    def num_named(self, prefix: str) -> int:
        """Sessions, committed or not, whose ids begin with `prefix`."""
        return sum(name.startswith(prefix) for name in self._slots)

    def is_named(self, slot: int) -> bool:
        """Whether somebody waits for a session of this slot that has not committed."""
        return bool(self.num_waiting[slot]) and not self._is_committed[slot]

    def slot_or_none(self, session_id: str) -> int | None:
        """The slot of a session, be it that it has only rows that wait; None where memory has none."""
        return self._slots.get(session_id)

    def find_or_none(self, session_id: str) -> int | None:
        """The slot of a session that has committed, None where memory has none."""
        slot = self._slots.get(session_id)
        return slot if slot is not None and self._is_committed[slot] and not self._is_over(slot) else None

    def place_all(self, slots: Slots, records: Sequence[Record], version: int, now_wall_s: float) -> None:
        """Sessions are as their records say; their states are the caller's to put."""
        self.positions[slots] = [record.position for record in records]
        self.last_times_us[slots] = [record.last_time_us for record in records]
        self.tokens[slots] = [record.token for record in records]
        self.versions[slots] = version
        self._is_committed[slots] = True
        used_at_s = np.array([record.used_at_s or now_wall_s for record in records])
        self._used_at_s[slots] = self._clock.monotonic_s() - np.maximum(now_wall_s - used_at_s, 0.0)

    def move(self, slot: int, position: int, last_time_us: int) -> None:
        """A placed session has consumed more rows than its record says."""
        self.positions[slot] = position
        self.last_times_us[slot] = last_time_us

    def recover(self, slot: int, position: int, last_time_us: int, idle_s: float) -> None:
        """`move`; the last of those rows came `idle_s` ago."""
        self.move(slot, position, last_time_us)
        self._used_at_s[slot] = self._clock.monotonic_s() - idle_s

    def used_at_s(self, slot: int, now_wall_s: float) -> float:
        """When a row last came, seconds since 1970-01-01 UTC."""
        return now_wall_s - (self._clock.monotonic_s() - float(self._used_at_s[slot]))

    def oldest_idle(self, limit: int) -> list[int]:
        """Slots of sessions for which nothing waits, those first that were used longest ago."""
        used = self._allocator.in_use()
        idle = used[self._is_committed[used] & (self.num_waiting[used] == 0)]
        if len(idle) > limit:
            idle = idle[np.argpartition(self._used_at_s[idle], limit)[:limit]]
        return cast("list[int]", idle[np.argsort(self._used_at_s[idle], kind="stable")].tolist())

    def in_use(self) -> Slots:
        """Slots of every session, committed or not."""
        return self._allocator.in_use()

    def committed(self) -> Slots:
        """Slots of every session that has committed."""
        used = self._allocator.in_use()
        return used[self._is_committed[used]]

    def forget(self, slot: int) -> None:
        """A session leaves memory, and nobody waits for it."""
        self._forget(slot)

    def unload(self, slots: Slots) -> None:
        """What memory has of these sessions is not to be trusted: load them before they are stepped again."""
        for slot in slots.tolist():
            if self.num_waiting[slot]:
                self._clear(slot)
                self.dirty.append(slot)
                self.unloaded.append(slot)
            else:
                self._forget(slot)

    def last_time_us(self, slot: int) -> int | None:
        """Time of the session's last row, None before any had one."""
        time = int(self.last_times_us[slot])
        return None if time == NO_TIME else time

    def check_integrity(self) -> None:
        """Ids, slots and counts agree.

        Raises:
            AssertionError: with the numbers that do not add up.
        """
        self._allocator.check_integrity()
        used = self._allocator.in_use()
        assert len(used) == len(self._slots), f"{len(used)} slots in use, {len(self._slots)} ids"
        assert sorted(self._slots.values()) == used.tolist(), "ids name slots that are not in use"
        assert all(self._ids[slot] == name for name, slot in self._slots.items()), "ids and slots disagree"
        held = used[~self._is_committed[used] & (self.num_waiting[used] == 0)]
        assert not len(held), f"slots {held} are held for nobody"
        assert (self.num_waiting >= 0).all(), "more entries settled than waited"

    def _add(self, session_id: str) -> int:
        now_s = self._clock.monotonic_s()
        if self._allocator.is_full or now_s - self._swept_at_s > _SWEEP_EVERY_S:
            self.sweep()
        if self._allocator.is_full:
            self._make_room()
        if self._allocator.is_full:
            raise TooManySessions(self._allocator.capacity)
        if self._admit is not None and not self.must_load:
            self._admit(session_id)
        slot = self._allocator.allocate()
        self._slots[session_id] = slot
        if slot == len(self._ids):
            self._ids.append(session_id)
        else:
            self._ids[slot] = session_id
        self.versions[slot] = self.newest
        if self.must_load:
            self.unloaded.append(slot)
        return slot

    def sweep(self) -> None:
        """End the sessions whose time to live is over."""
        now_s = self._swept_at_s = self._clock.monotonic_s()
        used = self._allocator.in_use()
        idle = self._is_committed[used] & (self.num_waiting[used] == 0)
        for slot in used[idle & (now_s - self._used_at_s[used] > self._ttl_s)].tolist():
            self._expire(slot)

    def _expire(self, slot: int) -> None:
        self._expired(slot)
        self._forget(slot)

    def _is_over(self, slot: int) -> bool:
        """Its time to live is up; entries that wait keep a session alive."""
        idle = self._is_committed.item(slot) and not self.num_waiting.item(slot)
        return bool(idle and self._clock.monotonic_s() - self._used_at_s.item(slot) > self._ttl_s)

    def _clear(self, slot: int) -> None:
        self._is_committed[slot] = False
        self.positions[slot] = 0
        self.last_times_us[slot] = NO_TIME
        self.tokens[slot] = NO_TOKEN

    def _forget(self, slot: int) -> None:
        self._clear(slot)
        self.generations[slot] += 1
        del self._slots[self._ids[slot]]
        self._ids[slot] = ""
        self._allocator.release(slot)
        self.dirty.append(slot)
