"""A session's state as bytes: what stores, exports and seals carry."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.manifest import StateSpec
from service.engine.arena import States


class StateBytes:
    """State tensors in the manifest's order, C order, little-endian, one after the other."""

    def __init__(self, specs: Sequence[StateSpec]) -> None:
        self._specs = tuple(specs)
        self.num_bytes = sum(spec.num_bytes for spec in self._specs)

    def pack(self, states: States) -> npt.NDArray[np.uint8]:
        """(B, num_bytes) of tensors (B, *shape)."""
        columns = [
            np.ascontiguousarray(states[spec.name]).reshape(len(states[spec.name]), -1).view(np.uint8)
            for spec in self._specs
        ]
        return np.concatenate(columns, axis=1)

    def unpack(self, contents: Sequence[bytes]) -> States:
        """Tensors (B, *shape) of B sessions' bytes, `num_bytes` each."""
        rows = np.frombuffer(b"".join(contents), np.uint8).reshape(len(contents), self.num_bytes)
        states: States = {}
        at = 0
        for spec in self._specs:
            column = np.ascontiguousarray(rows[:, at : at + spec.num_bytes])
            states[spec.name] = column.view(spec.dtype).reshape(len(contents), *spec.shape)
            at += spec.num_bytes
        return states

    def initial(self) -> bytes:
        """Of a session that has consumed nothing."""
        return b"".join(np.full(spec.shape, spec.initial, spec.dtype).tobytes() for spec in self._specs)
