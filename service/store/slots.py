"""Which rows of the arena are in use."""

import numpy as np
import numpy.typing as npt

Slots = npt.NDArray[np.int64]


class SlotAllocator:
    """Gives out slots 0 to `capacity` - 1, lowest first where none was given back.

    Owns no state; whoever gives a slot back resets its state first. Not thread-safe.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._num_touched = 0
        self._given_back: list[int] = []
        self._in_use = np.zeros(capacity, bool)

    def __len__(self) -> int:
        """Slots in use."""
        return self._num_touched - len(self._given_back)

    @property
    def is_full(self) -> bool:
        """Whether every slot is in use."""
        return len(self) == self.capacity

    def allocate(self) -> int:
        """A slot that nobody uses.

        Raises:
            IndexError: none is free.
        """
        if self._given_back:
            slot = self._given_back.pop()
        elif self._num_touched < self.capacity:
            slot = self._num_touched
            self._num_touched += 1
        else:
            raise IndexError(f"all {self.capacity} slots are in use")
        self._in_use[slot] = True
        return slot

    def release(self, slot: int) -> None:
        """Give a slot back.

        Raises:
            KeyError: it is not in use.
        """
        if not self._in_use[slot]:
            raise KeyError(slot)
        self._in_use[slot] = False
        self._given_back.append(slot)

    def in_use(self) -> Slots:
        """Every slot in use, ascending."""
        return np.flatnonzero(self._in_use[: self._num_touched])

    def check_integrity(self) -> None:
        """Every slot is in use, given back or untouched, once.

        Raises:
            AssertionError: with the numbers that do not add up.
        """
        back, touched = set(self._given_back), self._num_touched
        num_used = int(self._in_use.sum())
        assert len(back) == len(self._given_back), (
            f"{len(self._given_back) - len(back)} slots given back twice"
        )
        assert num_used + len(back) == touched, (
            f"{num_used} in use + {len(back)} given back != {touched} touched"
        )
        both = [slot for slot in back if self._in_use[slot]]
        assert not both, f"slots {both} are given back and in use"
