"""The state arena: every session's state of one model, one array per state name, a row per slot."""

import numpy as np
import numpy.typing as npt

from models.manifest import StateSpec

Slots = npt.NDArray[np.int64]
States = dict[str, npt.NDArray[np.generic]]


class Arena:
    """States in this machine's memory, room for `capacity` sessions in the initial state from the start.

    Nothing grows later, so nothing ever stalls to be copied: the arrays are zeroed lazily by the
    operating system, and a page costs memory when its first session arrives; at once where a state begins
    with another value than zero. Owns the arrays; what `gather` returns is the caller's copy.
    """

    def __init__(self, specs: tuple[StateSpec, ...], capacity: int) -> None:
        self.specs = specs
        self.capacity = capacity
        self.arrays: States = {spec.name: np.zeros((capacity, *spec.shape), spec.dtype) for spec in specs}
        for spec in specs:
            if spec.initial:
                self.arrays[spec.name][:] = spec.initial

    def reset(self, slots: Slots) -> None:
        """Put `slots` into the initial state."""
        for spec in self.specs:
            self.arrays[spec.name][slots] = spec.initial

    def gather(self, slots: Slots) -> States:
        """The states of `slots`, each (B, *shape), in their order."""
        return {name: array[slots] for name, array in self.arrays.items()}

    def scatter(self, slots: Slots, states: States) -> None:
        """Overwrite the states of `slots`, which must differ from each other."""
        for name, array in self.arrays.items():
            array[slots] = states[name]
