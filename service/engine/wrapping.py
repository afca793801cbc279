"""The nodes between arenas and a model's graph: take records out, cut them into states, and back."""

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from models.artifact import next_name
from models.manifest import StateSpec
from service.engine.layout import StateLayout, size_of

SLOTS = "slots"
# The slots once more, for what is written. ONNX Runtime keeps its plan of a run's memory by the lengths
# of all inputs' axes, combined by exclusive or: an axis that occurs an even number of times, as the batch
# would in slots and rows, cancels out, and every batch size but the first goes without (1.31; 18 us a run).
SLOTS_AGAIN = "slots_again"
_INDICES = "slots_as_indices"


def arena_name(dtype: str) -> str:
    """The input that holds the arena of a dtype's records."""
    return f"{dtype}_arena"


def arena_next_name(dtype: str) -> str:
    """The output that is the same arena after the run; bound to the same memory."""
    return f"{dtype}_arena_next"


def records_name(dtype: str) -> str:
    """Records of the slots, (B, width)."""
    return f"{dtype}_records"


def records_next_name(dtype: str) -> str:
    """Records that go to the slots, (B, width)."""
    return f"{dtype}_records_next"


class Wrapping:
    """Collects nodes and the constants that they take.

    Each method adds what makes the tensors that the next one reads.
    """

    def __init__(self, layout: StateLayout) -> None:
        self._layout = layout
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def gather(self) -> None:
        """Arenas and slots -> records."""
        for dtype in self._layout.groups:
            self._add("Gather", [arena_name(dtype), SLOTS], [records_name(dtype)], axis=0)

    def cut(self) -> None:
        """Records -> states (B, *shape), under the names that the model's graph reads."""
        for dtype, group in self._layout.groups.items():
            flat = [_flat(spec.name, spec) for spec in group]
            widths = self._constant(f"{dtype}_widths", [size_of(spec) for spec in group])
            self._add("Split", [records_name(dtype), widths], flat, axis=1)
            for name, spec in zip(flat, group, strict=True):
                self._reshape(name, spec.name, [-1, *spec.shape])

    def join(self) -> None:
        """Next states -> records."""
        for dtype, group in self._layout.groups.items():
            flat = [_flat(next_name(spec.name), spec) for spec in group]
            for name, spec in zip(flat, group, strict=True):
                self._reshape(next_name(spec.name), name, [-1, size_of(spec)])
            self._add("Concat", flat, [records_next_name(dtype)], axis=1)

    def scatter(self, slots: str, after: Sequence[str] = ()) -> None:
        """Records and slots -> arenas; none is written before the tensors `after` are there as well."""
        # No size is less than 1, so that the least of all is the shape as it was: [-1, 1].
        shape = [self._constant(f"{_INDICES}_shape", [-1, 1])]
        for name in after:
            self._add("Size", [name], [f"{name}_size"])
            shape.append(f"{name}_size")
        self._add("Min", shape, [f"{_INDICES}_known"])
        self._add("Reshape", [slots, f"{_INDICES}_known"], [_INDICES])
        for dtype in self._layout.groups:
            inputs = [arena_name(dtype), _INDICES, records_next_name(dtype)]
            self._add("ScatterND", inputs, [arena_next_name(dtype)])

    def _add(self, operator: str, inputs: list[str], outputs: list[str], *, axis: int | None = None) -> None:
        self.nodes.append(helper.make_node(operator, inputs, outputs, axis=axis))

    def _reshape(self, before: str, after: str, shape: list[int]) -> None:
        if before != after:
            self._add("Reshape", [before, self._constant(f"{after}_shape", shape)], [after])

    def _constant(self, name: str, value: list[int]) -> str:
        self.constants.append(numpy_helper.from_array(np.array(value, np.int64), name))
        return name


def _flat(name: str, spec: StateSpec) -> str:
    """The name of a state as (B, width); its own where that is its shape."""
    return name if len(spec.shape) == 1 else f"{name}_flat"
