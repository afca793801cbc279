"""Which batches of the journal are still needed."""

from dataclasses import dataclass

import numpy as np

from service.store.known import KnownSessions, Slots


@dataclass(slots=True)
class _Batch:
    """Attributes:
    num_rows: that stepped sessions.
    anchored: slots of sessions whose first row that their states lack is in this batch, or was.
    num_anchored: of them, those for which it still is.
    """

    num_rows: int
    anchored: Slots
    num_anchored: int


class JournalTail:
    """One model's batches in the journal, oldest first.

    A session is anchored in the first batch that its saved states lack. The oldest batches in which no
    session is anchored are not needed any more.
    """

    def __init__(self, known: KnownSessions) -> None:
        self._known = known
        self._batches: dict[int, _Batch] = {}
        self.num_rows = 0
        # Batches that are not needed but are in the file until the next transaction.
        self.done: list[int] = []

    def __len__(self) -> int:
        """Batches."""
        return len(self._batches)

    def append(self, number: int, slots: Slots, num_rows: int) -> None:
        """A batch that has moved distinct sessions: those up to date until now are anchored in it."""
        anchored = slots[self._known.pending[slots] == 0]
        self._known.pending[anchored] = number
        self._batches[number] = _Batch(num_rows, anchored, len(anchored))
        self.num_rows += num_rows
        self._trim()

    def release(self, slots: Slots) -> None:
        """The states of these distinct sessions are up to date, or nobody needs them any more."""
        if not len(slots):
            return
        pending = self._known.pending[slots]
        numbers, counts = np.unique(pending[pending != 0], return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            self._batches[number].num_anchored -= count
        self._known.pending[slots] = 0
        self._trim()

    def behind(self, limit: int) -> list[str]:
        """Ids of sessions, first those whose states have lacked rows for longest."""
        found: list[str] = []
        for number, batch in self._batches.items():
            if batch.num_anchored:
                slots = batch.anchored[self._known.pending[batch.anchored] == number]
                found += [self._known.ids[slot] for slot in slots[: limit - len(found)].tolist()]
            if len(found) == limit:
                break
        return found

    def _trim(self) -> None:
        while self._batches:
            number = next(iter(self._batches))
            if self._batches[number].num_anchored:
                return
            self.num_rows -= self._batches.pop(number).num_rows
            self.done.append(number)
