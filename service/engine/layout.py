"""How a session's state lies in arenas: all states of one dtype side by side, a record for each dtype."""

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from models.manifest import StateSpec
from service.engine.arena import States
from service.engine.memory import Column


class StateLayout:
    """Records of flat states. A session's state is touched at random, so what lies together costs once.

    Attributes:
        groups: by dtype, the states of a record in their order.
    """

    def __init__(self, specs: Sequence[StateSpec]) -> None:
        self._names = [spec.name for spec in specs]
        by_dtype = groupby(sorted(specs, key=lambda spec: spec.dtype), key=lambda spec: spec.dtype)
        self.groups = {dtype: tuple(group) for dtype, group in by_dtype}

    def width(self, dtype: str) -> int:
        """Values in a record."""
        return sum(map(size_of, self.groups[dtype]))

    def initial(self, dtype: str) -> Column:
        """The record (width,) of a session that has seen nothing."""
        return np.concatenate([np.full(size_of(spec), spec.initial, dtype) for spec in self.groups[dtype]])

    def pack(self, states: States) -> list[Column]:
        """The records (B, width) of states (B, *shape), in the order of `groups`."""
        return [
            np.concatenate([_flat(states[spec.name], size_of(spec)) for spec in group], axis=1)
            for group in self.groups.values()
        ]

    def unpack(self, records: Sequence[Column]) -> States:
        """The states of records, in the model's order; views of them."""
        states = {}
        for group, record in zip(self.groups.values(), records, strict=True):
            ends = np.cumsum([size_of(spec) for spec in group])
            for spec, flat in zip(group, np.split(record, ends[:-1], axis=1), strict=True):
                states[spec.name] = flat.reshape(len(flat), *spec.shape)
        return {name: states[name] for name in self._names}


def size_of(spec: StateSpec) -> int:
    """Values of one session's state."""
    return math.prod(spec.shape)


def _flat(state: Column, size: int) -> Column:
    return state.reshape(len(state), size)
