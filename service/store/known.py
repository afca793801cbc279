"""What the SQLite store's thread remembers of one model's sessions, in columns."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from service.store.sqlite_records import Row

Integers = npt.NDArray[np.int64]
Slots = npt.NDArray[np.int64]

_SLOT_BITS = 32
_SLOT_MASK = (1 << _SLOT_BITS) - 1


class Generations:
    """Numbers that are given once in a store's life, so that no token is good twice."""

    def __init__(self) -> None:
        self._last = 0

    def take(self, num: int) -> Integers:
        """The next ones (num,)."""
        self._last += num
        return np.arange(self._last - num + 1, self._last + 1)


class KnownSessions:
    """Tokens, positions and how far states are behind. Not thread-safe: the store's thread owns it.

    A token names a slot here and whose turn it is; it means nothing to another process.

    Attributes:
        ids: by slot; "" where none is known.
        tokens: the one that is good; 0 where none is.
        keys: the sessions' keys in the file.
        digests: numbers of their model files' digests.
        positions, last_times_us, used_at_s: where the sessions stand, the journal's rows included.
        pending: number of the first batch in the journal that the states lack, 0 where they lack none.
    """

    def __init__(self, generations: Generations, max_sessions: int) -> None:
        """Keeps about `max_sessions` beside those that are behind: others are forgotten and loaded anew."""
        self._max_sessions = self._next_look_at = max_sessions
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._generations = generations
        self.ids: list[str] = []
        self.tokens, self.keys, self.digests = (np.zeros(256, np.int64) for _ in range(3))
        self.positions, self.last_times_us = np.zeros(256, np.int64), np.zeros(256, np.int64)
        self.pending = np.zeros(256, np.int64)
        self.used_at_s = np.zeros(256, np.float64)

    def __len__(self) -> int:
        """Sessions known."""
        return len(self._slots)

    def find(self, session_id: str) -> int | None:
        """The slot of a session, None where it is not known."""
        return self._slots.get(session_id)

    def held(self, tokens: Integers) -> tuple[Slots, npt.NDArray[np.bool_]]:
        """The slots (N,) that tokens (N,) name, and whether the tokens are good; other slots mean nothing."""
        slots = tokens & _SLOT_MASK
        within = slots < len(self.ids)
        slots = np.where(within, slots, 0)
        good = within & (tokens != 0) & (self.tokens[slots] == tokens)
        return slots, good

    def digests_of(self, tokens: Integers) -> Integers:
        """Digest numbers (N,), -1 where a token is not good. Any thread may ask; the answer may be stale."""
        slots, good = self.held(tokens)
        return np.where(good, self.digests[slots], -1)

    def add_rows(self, rows: Sequence[Row]) -> Slots:
        """As `add`, of sessions as the table has them."""
        return self.add(
            [row.session_id for row in rows],
            keys=[row.key for row in rows],
            digests=[row.digest for row in rows],
            positions=[row.position for row in rows],
            last_times_us=[row.last_time_us for row in rows],
            used_at_s=[row.used_at_s for row in rows],
        )

    def add(
        self,
        session_ids: Sequence[str],
        keys: npt.ArrayLike,
        digests: npt.ArrayLike,
        positions: npt.ArrayLike,
        last_times_us: npt.ArrayLike,
        used_at_s: npt.ArrayLike,
    ) -> Slots:
        """Sessions (N,) that are not known, up to date; returns their slots (N,), without tokens."""
        slots = np.array([self._allocate(session_id) for session_id in session_ids], np.int64)
        self.keys[slots], self.digests[slots] = keys, digests
        self.positions[slots], self.last_times_us[slots] = positions, last_times_us
        self.used_at_s[slots] = used_at_s
        return slots

    def take_over(self, slots: Slots) -> Integers:
        """New tokens (N,); those before are worth nothing."""
        self.tokens[slots] = self._generations.take(len(slots)) << _SLOT_BITS | slots
        return self.tokens[slots]

    def forget(self, slot: int) -> None:
        """A session that ended, or is not to be known for now; its batches are the caller's to release."""
        del self._slots[self.ids[slot]]
        self.ids[slot] = ""
        self.tokens[slot] = self.pending[slot] = 0
        self.used_at_s[slot] = 0.0
        self._free.append(slot)

    def make_room(self) -> None:
        """Where too many are known, forget those that are up to date and idle for longest."""
        if len(self) <= self._next_look_at:
            return
        slots = np.array(list(self._slots.values()), np.int64)
        slots = slots[self.pending[slots] == 0]
        num_kept = self._max_sessions // 2
        idle_first = slots[np.argsort(self.used_at_s[slots])]
        for slot in idle_first[: max(len(slots) - num_kept, 0)].tolist():
            self.forget(slot)
        # Not at once again: a session that is named next and forgotten must have time to be named anew.
        self._next_look_at = len(self) + max(self._max_sessions - num_kept, 1)

    def _allocate(self, session_id: str) -> int:
        slot = self._free.pop() if self._free else self._append()
        self.ids[slot] = session_id
        self._slots[session_id] = slot
        return slot

    def _append(self) -> int:
        slot = len(self.ids)
        if slot == len(self.tokens):
            for name in ("tokens", "keys", "digests", "positions", "last_times_us", "pending"):
                column: Integers = getattr(self, name)
                setattr(self, name, np.concatenate([column, np.zeros_like(column)]))
            self.used_at_s = np.concatenate([self.used_at_s, np.zeros_like(self.used_at_s)])
        self.ids.append("")
        return slot
