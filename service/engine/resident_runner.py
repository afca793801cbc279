"""The fast runner: the arena is bound to the graph as input and output, and updated in place."""

from dataclasses import dataclass

import numpy as np
import onnxruntime

from models.artifact import FORECAST, READ_OUT, ROWS
from models.manifest import Manifest
from service.engine.arena import Arena, Slots, States
from service.engine.graphs import Graphs
from service.engine.providers import open_session
from service.engine.resident import SLOTS, arena_name, arena_next_name, resident
from service.engine.runner import Forecasts, Reply, Rows


@dataclass(frozen=True)
class _Bound:
    """A session whose arenas are bound once; rows, slots and forecasts are bound anew for each run."""

    session: onnxruntime.InferenceSession
    binding: onnxruntime.IOBinding


class ResidentRunner:
    """Steps states where they lie. A batch of B moves B slots, its rows and its forecasts.

    ScatterND copies nothing where its output is its input's own memory. That is no promise of ONNX
    Runtime's, so the self-check at load compares this runner with the numpy one before it serves.
    A run that fails may do so before its first ScatterND only: they come last, and cannot fail on
    slots that Gather took.
    """

    def __init__(self, graphs: Graphs, manifest: Manifest, arena: Arena, intra_op_threads: int) -> None:
        self._arena = arena
        self._forecast_shape = (manifest.horizon, len(manifest.quantile_levels))
        self._advance = self._bind(graphs.advance, manifest, intra_op_threads)
        self._forecast = self._bind(graphs.forecast, manifest, intra_op_threads)
        self._read_out = self._bind(graphs.read_out, manifest, intra_op_threads)

    def step(self, slots: Slots, rows: Rows, reply: Reply) -> Forecasts | None:
        """See `Runner.step`."""
        rows = np.ascontiguousarray(rows)
        if reply is Reply.NONE or (reply is Reply.LAST and rows.shape[1] > 1):
            self._run(self._advance, slots, rows)
            return self.read_out(slots) if reply is Reply.LAST else None
        each = np.empty((*rows.shape[:2], *self._forecast_shape), np.float32)
        self._run(self._forecast, slots, rows, FORECAST, each)
        return each if reply is Reply.EACH else each[:, 0]

    def read_out(self, slots: Slots) -> Forecasts:
        """See `Runner.read_out`."""
        forecasts = np.empty((len(slots), *self._forecast_shape), np.float32)
        self._run(self._read_out, slots, None, READ_OUT, forecasts)
        return forecasts

    def reset(self, slots: Slots) -> None:
        """See `Runner.reset`."""
        self._arena.reset(slots)

    def states(self, slots: Slots) -> States:
        """See `Runner.states`."""
        return self._arena.gather(slots)

    def restore(self, slots: Slots, states: States) -> None:
        """See `Runner.restore`."""
        self._arena.scatter(slots, states)

    def _bind(self, graph: bytes, manifest: Manifest, intra_op_threads: int) -> _Bound:
        session = open_session(resident(graph, manifest), "cpu", intra_op_threads)
        binding = session.io_binding()
        inputs = {tensor.name for tensor in session.get_inputs()}
        outputs = {tensor.name for tensor in session.get_outputs()}
        for name, array in self._arena.arrays.items():
            place = ("cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
            if arena_name(name) in inputs:
                binding.bind_input(arena_name(name), *place)
            if arena_next_name(name) in outputs:
                binding.bind_output(arena_next_name(name), *place)
        return _Bound(session, binding)

    def _run(
        self,
        bound: _Bound,
        slots: Slots,
        rows: Rows | None,
        output: str | None = None,
        forecasts: Forecasts | None = None,
    ) -> None:
        binding = bound.binding
        binding.bind_input(SLOTS, "cpu", 0, np.int64, slots.shape, slots.ctypes.data)
        if rows is not None:
            binding.bind_input(ROWS, "cpu", 0, np.float64, rows.shape, rows.ctypes.data)
        if forecasts is not None:
            binding.bind_output(output, "cpu", 0, np.float32, forecasts.shape, forecasts.ctypes.data)
        bound.session.run_with_iobinding(binding)
