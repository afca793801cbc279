"""What runs next: steps and slices of histories in turn, without what nobody waits for."""

import numpy as np

from service.clock import Clock
from service.errors import DeadlinePassed, StatecastError
from service.sessions.batch import Part
from service.sessions.counts import Counts
from service.sessions.queue import FrameQueue
from service.store.table import SessionTable

# Rows of an entry that still go whole beside single steps.
MAX_STEP_ROWS = 16
# Fewer are not worth a batch of their own.
_LEAST_HALF = 256
# Rows of histories in one batch: as many as run at full speed or, while steps come, as many as a step
# may well wait for.
_HISTORY_ROWS = 8192
_LEAST_HISTORY_ROWS = 16
_HISTORY_BESIDE_STEPS_S = 0.0005
_STEPS_ARE_RECENT_S = 0.05


class Intake:
    """Takes batches out of the queue.

    Attributes:
        stepped_at_s: when a step was last taken, on the clock.
    """

    def __init__(
        self,
        queue: FrameQueue,
        table: SessionTable,
        counts: Counts,
        clock: Clock,
        max_batch_size: int,
        *,
        halves: bool,
    ) -> None:
        """`halves`: a store takes one batch while another runs, so that each is half of what waits."""
        self._queue, self._table, self._counts, self._clock = queue, table, counts, clock
        self._max_batch_size, self._halves = max_batch_size, halves
        self._histories_are_next = False
        self._history_rows_per_s = 0.0
        self.stepped_at_s = float("-inf")

    def take(self) -> list[Part]:
        """Steps, or slices of histories: no step shares a batch with a slice it would wait for."""
        now_s = self._clock.monotonic_s()
        if self._queue.has_steps:
            self.stepped_at_s = now_s
        taken: list[Part] = []
        if self._histories_are_next or not self._queue.has_steps:
            taken = self._queue.take_slices(self._max_batch_size, self._num_history_rows(now_s))
        self._histories_are_next = not taken
        return self._still_wanted(taken or self._queue.take_steps(self._num_steps()), now_s)

    def ran_history(self, num_rows: int, elapsed_s: float) -> None:
        """How long slices of histories took: later ones are cut to what a step may wait for."""
        self._history_rows_per_s = num_rows / max(elapsed_s, 1e-6)

    def refuse(self, failed: dict[int, StatecastError]) -> None:
        """Sessions that cannot be loaded, by slot: what waits for them is refused."""
        for part in self._queue.withdraw(np.array(list(failed), np.int64)):
            errors = {part.entry(index): failed[slot] for index, slot in enumerate(part.slots.tolist())}
            part.frame.result.errors.update(errors)
            self._counts.rows_refused += self._leave(part)

    def _num_steps(self) -> int:
        if not self._halves:
            return self._max_batch_size
        half = max(-(-self._queue.num_rows // 2), _LEAST_HALF)
        return min(half, self._max_batch_size)

    def _num_history_rows(self, now_s: float) -> int:
        if now_s - self.stepped_at_s > _STEPS_ARE_RECENT_S:
            return _HISTORY_ROWS
        rows = int(_HISTORY_BESIDE_STEPS_S * self._history_rows_per_s)
        return min(max(rows, _LEAST_HISTORY_ROWS), _HISTORY_ROWS)

    def _still_wanted(self, taken: list[Part], now_s: float) -> list[Part]:
        """Without the entries that nobody waits for any more, or whose deadline has passed."""
        kept = []
        for part in taken:
            dropped = part.frame.dropped
            if part.frame.deadline_s < now_s:
                self._counts.rows_refused += self._leave(part, DeadlinePassed())
                continue
            if dropped is None:
                kept.append(part)
                continue
            mine = dropped if part.entries is None else dropped[part.entries]
            if mine.all():
                self._leave(part)
            elif mine.any():
                self._leave(part.only(mine))
                kept.append(part.only(~mine))
            else:
                kept.append(part)
        return kept

    def _leave(self, part: Part, error: StatecastError | None = None) -> int:
        """Entries go without being applied, a history without its remaining rows; returns how many rows."""
        entries = slice(None) if part.entries is None else part.entries
        num_rows = int(part.frame.lengths[entries].sum()) - part.offset
        self._queue.finish(part, num_rows, is_over=True)
        self._table.settle(part.slots)
        if error is not None:
            part.frame.result.errors.update((part.entry(index), error) for index in range(len(part)))
        part.frame.settle(len(part))
        return num_rows
