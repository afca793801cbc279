"""The last rows of each session in memory, for a version that begins by running over them."""

import numpy as np

from service.engine.arena import Slots
from service.engine.runner import Rows


class RecentRows:
    """A ring of `num_rows` rows a slot, in arrays that cost memory where sessions are; 0 keeps none."""

    def __init__(self, capacity: int, num_rows: int, num_features: int) -> None:
        self.num_rows = num_rows
        self._rows = np.zeros((capacity if num_rows else 0, num_rows, num_features))
        # Rows that each slot has had in all.
        self._counts = np.zeros(capacity if num_rows else 0, np.int64)

    def add(self, slots: Slots, rows: Rows) -> None:
        """Rows (B, S, F) stepped distinct `slots`."""
        if not self.num_rows:
            return
        kept = rows[:, -self.num_rows :]
        first = self._counts[slots] + rows.shape[1] - kept.shape[1]
        places = (first[:, None] + np.arange(kept.shape[1])) % self.num_rows
        self._rows[slots[:, None], places] = kept
        self._counts[slots] += rows.shape[1]

    def get(self, slot: int) -> Rows:
        """(R, F), oldest first."""
        if not self.num_rows:
            return self._rows.reshape(0, self._rows.shape[2])
        count = int(self._counts[slot])
        places = np.arange(max(count - self.num_rows, 0), count) % self.num_rows
        rows: Rows = self._rows[slot, places]
        return rows

    def put(self, slot: int, content: bytes) -> None:
        """Rows as `get` gave them, as bytes; replaces what the slot has."""
        if not self.num_rows:
            return
        self._counts[slot] = 0
        rows = np.frombuffer(content, np.float64).reshape(1, -1, self._rows.shape[2])
        if rows.shape[1]:
            self.add(np.array([slot]), rows)

    def clear(self, slots: Slots) -> None:
        """These slots have had none."""
        if self.num_rows:
            self._counts[slots] = 0
