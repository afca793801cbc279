"""One step's graph in the forms it is run in: histories, single rows, fixed numbers of single rows."""

from bisect import bisect_left

import numpy as np
import structlog

from models.manifest import Manifest
from service.engine.arena import Slots
from service.engine.bound_graph import BoundGraph
from service.engine.memory import Column
from service.engine.resident import BATCH, resident
from service.engine.resident_arena import ResidentArena
from service.engine.runner import Rows

_log = structlog.get_logger()


class StepGraph:
    """Steps any number of sessions by any number of rows, in one run of one of its graphs.

    Never in several: where the second failed, the sessions of the first would have stepped.
    """

    def __init__(self, graph: bytes, manifest: Manifest, arena: ResidentArena) -> None:
        self._arena = arena
        self._sizes = arena.memory.fixed_sizes
        self._fixed = [self._open_fixed(graph, manifest, size) for size in self._sizes]
        self._single_rows = arena.open(resident(graph, manifest, BATCH, 1))
        # Plans of a run's memory are kept for ever: one for each batch size may be, one for each length
        # of a history too is too many, and long runs gain little by them.
        self._histories = arena.open(resident(graph, manifest), plans_memory=False)

    def run(self, slots: Slots, rows: Rows) -> list[Column]:
        """Step distinct `slots` by `rows` (B, T, F).

        Returns:
            What the graph gives beside next states, (B, T, ...) each; the caller's own.
        """
        batch, time = rows.shape[:2]
        if time > 1:
            return self._histories.run(slots, rows)
        index = bisect_left(self._sizes, batch)
        if index == len(self._sizes):
            return self._single_rows.run(slots, rows)
        size, fixed = self._sizes[index], self._fixed[index]
        if batch == size:
            return fixed.run(slots, rows)
        padding = ((0, size - batch),)
        padded_slots = np.pad(slots, padding, constant_values=self._arena.scratch_slot)
        padded_rows = np.pad(rows, (*padding, (0, 0), (0, 0)))
        return [column[:batch] for column in fixed.run(padded_slots, padded_rows)]

    def _open_fixed(self, graph: bytes, manifest: Manifest, size: int) -> BoundGraph:
        if self._arena.memory.captures:
            # What puts the scatters last runs on the host, where nothing can be captured.
            wrapped = resident(graph, manifest, size, 1, scatters_last=False)
            try:
                bound = self._arena.open(wrapped, captured=True)
                # The run that captures does so in several (onnxruntime issue 32243), which would step a
                # session as often; the scratch slot is nobody's.
                slots = np.full(size, self._arena.scratch_slot, np.int64)
                bound.run(slots, np.zeros((size, 1, manifest.row_layout.width)))
                return bound
            except Exception as error:  # ONNX Runtime raises several unrelated types
                _log.warning("a graph is not captured", num_sessions=size, error=str(error))
        return self._arena.open(resident(graph, manifest, size, 1))
