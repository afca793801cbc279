"""The state arena: every session's state of one model, one array per state name, a row per slot."""

import numpy as np
import numpy.typing as npt

from models.manifest import StateSpec

Slots = npt.NDArray[np.int64]
States = dict[str, npt.NDArray[np.generic]]

_FIRST_CAPACITY = 64


class Arena:
    """Slots of state. Owns the arrays; what `gather` returns is the caller's copy.

    Not thread-safe: one model's worker allocates, runs and releases in turn.
    """

    def __init__(self, specs: tuple[StateSpec, ...]) -> None:
        self._specs = specs
        self._arrays: States = {
            spec.name: np.full((_FIRST_CAPACITY, *spec.shape), spec.initial, dtype=spec.dtype)
            for spec in specs
        }
        self._capacity = _FIRST_CAPACITY
        # The lowest free slot is taken first, so that live states stay close together.
        self._free = list(range(_FIRST_CAPACITY - 1, -1, -1))
        self._live: set[int] = set()

    def __len__(self) -> int:
        """Slots in use."""
        return len(self._live)

    def allocate(self) -> int:
        """A slot that holds the initial state; grows the arrays (by doubling) where none is free."""
        if not self._free:
            self._grow()
        slot = self._free.pop()
        self._live.add(slot)
        return slot

    def release(self, slot: int) -> None:
        """Give a slot back; its state is forgotten.

        Raises:
            KeyError: the slot is not in use.
        """
        self._live.remove(slot)
        for spec in self._specs:
            self._arrays[spec.name][slot] = spec.initial
        self._free.append(slot)

    def gather(self, slots: Slots) -> States:
        """The states of `slots`, each (B, *shape), in their order."""
        return {name: array[slots] for name, array in self._arrays.items()}

    def scatter(self, slots: Slots, states: States) -> None:
        """Overwrite the states of `slots`, which must differ from each other."""
        for name, array in self._arrays.items():
            array[slots] = states[name]

    def check_integrity(self) -> None:
        """Every slot is either free or in use, once.

        Raises:
            AssertionError: with the numbers that do not add up.
        """
        free, live, capacity = set(self._free), self._live, self._capacity
        assert len(free) == len(self._free), f"{len(self._free) - len(free)} slots are free twice"
        assert not free & live, f"slots {sorted(free & live)} are free and in use"
        assert len(free) + len(live) == capacity, f"{len(free)} free + {len(live)} in use != {capacity}"
        assert all(len(array) == capacity for array in self._arrays.values()), "arrays differ in length"

    def _grow(self) -> None:
        old, new = self._capacity, 2 * self._capacity
        for spec in self._specs:
            grown = np.full((new, *spec.shape), spec.initial, dtype=spec.dtype)
            grown[:old] = self._arrays[spec.name]
            self._arrays[spec.name] = grown
        self._capacity = new
        self._free.extend(range(new - 1, old - 1, -1))
