"""What waits for the engine: single steps first, long histories a slice at a time."""

from collections import deque
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from service.engine.arena import Slots
from service.sessions.batch import Part
from service.sessions.frame import Frame


class FrameQueue:
    """Frames in order of arrival; each session's entries leave in that order, at most one a batch.

    An entry longer than `max_step_rows` is a history: it leaves in slices, so that a single step never
    waits for more than one slice. Entries of a session behind its own history wait for all of it.
    """

    def __init__(self, capacity: int, max_step_rows: int) -> None:
        self._max_step_rows = max_step_rows
        self._short: deque[Part] = deque()
        # By session, its histories and what came behind them; sessions take turns.
        self._histories: dict[int, deque[Part]] = {}
        self._turns: deque[int] = deque()
        self._has_history = np.zeros(capacity, bool)
        # Scratch: the first entry of each session in the batch that is being taken.
        self._owner = np.zeros(capacity, np.int64)
        # Scratch: sessions whose steps wait before their history.
        self._is_ahead = np.zeros(capacity, bool)
        self._is_held_back = np.zeros(capacity, bool)
        self.num_rows = 0

    def __bool__(self) -> bool:
        return bool(self._short or self._turns)

    @property
    def has_steps(self) -> bool:
        """Whether anything but histories waits."""
        return bool(self._short)

    def put(self, frame: Frame) -> None:
        """Append a frame."""
        self.num_rows += len(frame.values)
        is_long = frame.lengths > self._max_step_rows
        if not self._histories and not is_long.any():
            self._short.append(Part(frame))
            return
        # An entry behind its session's history, in an earlier frame or in this one, waits for it.
        is_behind = is_long | self._has_history[frame.slots] | np.isin(frame.slots, frame.slots[is_long])
        ahead = np.flatnonzero(~is_behind)
        if len(ahead):
            self._short.append(Part(frame, ahead))
        for entry in np.flatnonzero(is_behind):
            self._put_history(Part(frame, np.array([entry])))

    @property
    def has_histories(self) -> bool:
        """Whether a history waits."""
        return bool(self._turns)

    def hold_back(self, slots: Slots) -> None:
        """What waits for these sessions is not taken until `let_go`: their last batch is not answered yet."""
        self._is_held_back[slots] = True

    def let_go(self, slots: Slots) -> None:
        """Their batch is answered."""
        self._is_held_back[slots] = False

    def take_steps(self, max_entries: int) -> list[Part]:
        """The next batch of entries that are no histories: no session twice."""
        return list(self._take_steps(max_entries))

    def take_slices(self, max_entries: int, max_rows: int) -> list[Part]:
        """Slices of histories with `max_rows` rows in all: of no session whose earlier steps still wait."""
        if not self._turns:
            return []
        for part in self._short:
            self._is_ahead[part.slots] = True
        slices = list(self._take_slices(max_entries, max_rows))
        for part in self._short:
            self._is_ahead[part.slots] = False
        return slices

    def withdraw(self, slots: Slots) -> list[Part]:
        """Take out everything that waits for these sessions, to be given to `finish` as over."""
        taken: list[Part] = []
        kept: deque[Part] = deque()
        for part in self._short:
            mine = np.isin(part.slots, slots)
            if not mine.any():
                kept.append(part)
            elif mine.all():
                taken.append(part)
            else:
                taken.append(part.only(mine))
                kept.append(part.only(~mine))
        self._short = kept
        for slot in slots.tolist():
            line = self._histories.pop(slot, None)
            if line is not None:
                taken.extend(line)
                self._turns.remove(slot)
                self._has_history[slot] = False
        return taken

    def finish(self, part: Part, num_rows: int, is_over: bool) -> None:
        """What was taken is done. A history that is not over takes its next turn; others leave.

        Args:
            num_rows: rows of the part that will not come again.
            is_over: whether the part's entries are settled.
        """
        self.num_rows -= num_rows
        slot = int(part.frame.slots[part.entries[0]]) if part.entries is not None else -1
        line = self._histories.get(slot)
        if line is None or line[0] is not part.root:
            return
        if is_over:
            line.popleft()
        else:
            line[0].offset += num_rows
        if line:
            self._turns.append(slot)
        else:
            del self._histories[slot]
            self._has_history[slot] = False

    def _put_history(self, part: Part) -> None:
        slot = int(part.slots[0])
        line = self._histories.get(slot)
        if line is None:
            line = self._histories[slot] = deque()
            self._has_history[slot] = True
            self._turns.append(slot)
        line.append(part)

    def _take_steps(self, max_entries: int) -> Iterator[Part]:
        waiting = self._first(max_entries)
        if not waiting:
            return
        slots = waiting[0].slots if len(waiting) == 1 else np.concatenate([part.slots for part in waiting])
        is_first = self._is_first(slots) & ~self._is_held_back[slots]
        left: list[Part] = []
        end = 0
        for part in waiting:
            start, end = end, end + len(part)
            mine = is_first[start:end]
            if mine.all():
                yield part
            elif not mine.any():
                left.append(part)
            else:
                yield part.only(mine)
                left.append(part.only(~mine))
        self._short.extendleft(reversed(left))

    def _first(self, max_entries: int) -> list[Part]:
        """Parts from the front, the last one cut, with `max_entries` entries in all."""
        waiting: list[Part] = []
        room = max_entries
        while self._short and room:
            part = self._short.popleft()
            if len(part) > room:
                keep = np.arange(len(part)) < room
                self._short.appendleft(part.only(~keep))
                part = part.only(keep)
            waiting.append(part)
            room -= len(part)
        return waiting

    def _is_first(self, slots: Slots) -> npt.NDArray[np.bool_]:
        """Which entries are the first of their session, (n,)."""
        order = np.arange(len(slots))
        # Written backwards, so that the first of several is the one that stays.
        self._owner[slots[::-1]] = order[::-1]
        is_first: npt.NDArray[np.bool_] = self._owner[slots] == order
        return is_first

    def _take_slices(self, max_entries: int, max_rows: int) -> Iterator[Part]:
        """A slice of each session's history in turn, but of none whose earlier rows still wait."""
        turns = [self._turns.popleft() for _ in range(len(self._turns))]
        is_blocked = self._is_ahead[turns] | self._is_held_back[turns]
        blocked = [slot for slot, blocks in zip(turns, is_blocked.tolist(), strict=True) if blocks]
        free = [slot for slot, blocks in zip(turns, is_blocked.tolist(), strict=True) if not blocks]
        self._turns.extend(blocked)
        self._turns.extend(free[max_entries:])
        taken = free[:max_entries]
        for slot in taken:
            yield self._histories[slot][0].slice(max(max_rows // len(taken), 1))
