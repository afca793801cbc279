"""A graph with its arenas bound to it for good, and buffers that columns are copied in and out of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime

from service.engine.memory import Buffer, Column, Memory
from service.engine.resident import BATCH, TIME
from service.engine.wrapping import SLOTS_AGAIN

_DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
# Binding takes 15 us, which a run of more sessions or of histories does not notice. Single rows of many
# streams make batches of any size up to their number, so that many sizes come back.
_LARGEST_KEPT = 256
_MAX_KEPT = 64


@dataclass(frozen=True, slots=True)
class _Bound:
    """What columns of one shape need: the binding, which holds the buffers, and ways in and out of them."""

    binding: onnxruntime.IOBinding
    writes: list[Callable[[Column], None]]
    reads: list[Callable[[], Column]]


class BoundGraph:
    """Runs one graph over arenas (see `resident`). One call at a time.

    Binding a tensor costs more than moving a small one: what is bound for a batch size stays, and
    columns are copied into it, except where the length of histories is open too. Of a graph of fixed
    shapes it always stays.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, arenas: Mapping[str, Buffer], memory: Memory
    ) -> None:
        """Take a session of the graph, and the buffer for each arena name it has, in `memory`."""
        self._session = session
        self._arenas = arenas
        self._memory = memory
        axes = {axis for tensor in session.get_inputs() for axis in tensor.shape}
        self._has_time = TIME in axes
        self._is_fixed = BATCH not in axes
        self._kept: dict[int, _Bound] = {}

    def run(self, *columns: Column) -> list[Column]:
        """Write `columns`, run, and copy what comes out.

        Args:
            columns: in the order of the graph's inputs, slots (B,) first, then rows (B, T, F) where it
                takes any; copied.

        Returns:
            The outputs that are no arenas, in the graph's order; the caller's own.
        """
        batch = len(columns[0])
        if self._has_time:
            bound = self._bind(batch, columns[1].shape[1])
        else:
            bound = self._kept.get(batch) or self._bind_kept(batch)
        for write, column in zip(bound.writes, columns, strict=True):
            write(column)
        self._session.run_with_iobinding(bound.binding)
        return [read() for read in bound.reads]

    def check_integrity(self) -> None:
        """Every arena that a run wrote is the memory that it read.

        Raises:
            AssertionError: with the addresses that differ.
        """
        names = [tensor.name for tensor in self._session.get_outputs()]
        for size, bound in self._kept.items():
            for name, value in zip(names, bound.binding.get_outputs(), strict=True):
                if name in self._arenas:
                    written, read = value.data_ptr(), self._arenas[name].value.data_ptr()
                    assert written == read, (
                        f"{name} of {size} slots lies at {written:#x}, its arena at {read:#x}"
                    )

    def _bind_kept(self, batch: int) -> _Bound:
        bound = self._bind(batch)
        if self._is_fixed or batch <= _LARGEST_KEPT:
            if len(self._kept) == _MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[batch] = bound
        return bound

    def _bind(self, batch: int, time: int = 1) -> _Bound:
        axes = {BATCH: batch, TIME: time}
        binding = self._session.io_binding()
        inputs: list[Buffer] = []
        outputs: list[Buffer] = []
        for tensors, bind, buffers in (
            (self._session.get_inputs(), binding.bind_ortvalue_input, inputs),
            (self._session.get_outputs(), binding.bind_ortvalue_output, outputs),
        ):
            for tensor in tensors:
                buffer = inputs[0] if tensor.name == SLOTS_AGAIN else self._arenas.get(tensor.name)
                if buffer is None:
                    shape = [axes.get(axis, axis) for axis in tensor.shape]
                    buffer = self._memory.buffer(shape, _DTYPES[tensor.type])
                    buffers.append(buffer)
                bind(tensor.name, buffer.value)
        return _Bound(binding, [buffer.write for buffer in inputs], [buffer.read for buffer in outputs])
