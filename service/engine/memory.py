"""Where arenas and the columns of runs lie: in this machine's memory, or in a device's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Column = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Buffer:
    """A tensor of fixed shape, at an address that does not change.

    Attributes:
        value: the tensor, to be bound.
        write: overwrites the whole with a column of the same shape and dtype.
        read: a copy in this machine's memory, the caller's own.
    """

    value: onnxruntime.OrtValue
    write: Callable[[Column], None]
    read: Callable[[], Column]


def _host_buffer(array: Column) -> Buffer:
    # The array's own methods: a step of one session takes so little that each call shows.
    value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
    return Buffer(value, partial(array.__setitem__, ...), array.copy)


def _device_buffer(array: Column, device: str) -> Buffer:
    """A copy of `array` on the device."""
    try:
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array, device, 0)
    except Exception as error:  # ONNX Runtime raises several unrelated types
        raise MemoryError(f"{array.nbytes} bytes on {device}: {error}") from error
    return Buffer(value, lambda column: value.update_inplace(np.ascontiguousarray(column)), value.numpy)


@dataclass(frozen=True)
class Memory:
    """A kind of memory, and what a runner does with batches there.

    Attributes:
        device: of ONNX Runtime: cpu, cuda.
        fixed_sizes: ascending; so many sessions of one row each get graphs of fixed shapes, and fewer
            are padded to the next of them.
        captures: whether graphs of fixed shapes are captured once and replayed.
    """

    device: str
    fixed_sizes: tuple[int, ...]
    captures: bool = False

    def buffer(self, shape: Sequence[int], dtype: npt.DTypeLike) -> Buffer:
        """A tensor of zeros there.

        Raises:
            MemoryError: there is no room for it.
        """
        return self._own(np.zeros(shape, dtype))

    def rows(self, num_rows: int, row: Column) -> Buffer:
        """A tensor there, `num_rows` times `row`.

        Of zeros it costs this machine's memory by the page, when something is written there.

        Raises:
            MemoryError: there is no room for it.
        """
        array = np.zeros((num_rows, *row.shape), row.dtype)
        if row.any():
            array[:] = row
        return self._own(array)

    def _own(self, array: Column) -> Buffer:
        return _host_buffer(array) if self.device == "cpu" else _device_buffer(array, self.device)


# On a CPU padding is work. On a GPU it costs next to nothing beside launching a kernel for every node,
# which a captured graph does not do.
MEMORIES = {
    "cpu": Memory("cpu", fixed_sizes=()),
    "cuda": Memory("cuda", fixed_sizes=(1, 32, 256), captures=True),
}
