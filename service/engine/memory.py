"""Where arenas and the columns of runs lie: in this machine's memory, or in a device's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from onnxruntime import OrtValue

Column = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Buffer:
    """A tensor of fixed shape, at an address that does not change.

    Attributes:
        value: the tensor, to be bound.
        write: overwrites the whole with a column of the same shape and dtype.
        read: a copy in this machine's memory, the caller's own.
    """

    value: OrtValue
    write: Callable[[Column], None]
    read: Callable[[], Column]


def _host_buffer(array: Column) -> Buffer:
    # The array's own methods: a step of one session takes so little that each call shows.
    value = OrtValue.ortvalue_from_numpy(array)
    return Buffer(value, partial(array.__setitem__, ...), array.copy)


def _device_buffer(allocate: Callable[[], OrtValue]) -> Buffer:
    try:
        value = allocate()
    except Exception as error:  # ONNX Runtime raises several unrelated types
        raise MemoryError(f"the device: {error}") from error
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
        """A tensor there, to be written before it is read.

        Raises:
            MemoryError: there is no room for it.
        """
        if self.device == "cpu":
            return _host_buffer(np.empty(shape, dtype))
        return _device_buffer(lambda: OrtValue.ortvalue_from_shape_and_type(shape, dtype, self.device, 0))

    def rows(self, num_rows: int, row: Column) -> Buffer:
        """A tensor there, `num_rows` times `row`.

        Of zeros it costs this machine's memory by the page, when something is written there.

        Raises:
            MemoryError: there is no room for it.
        """
        array = np.zeros((num_rows, *row.shape), row.dtype)
        if row.any():
            array[:] = row
        if self.device == "cpu":
            return _host_buffer(array)
        return _device_buffer(lambda: OrtValue.ortvalue_from_numpy(array, self.device, 0))


# On a CPU padding is work. On a GPU a captured graph is to stand for the launches of all its kernels,
# which matter more in small batches than a few rows of padding; not measured.
MEMORIES = {
    "cpu": Memory("cpu", fixed_sizes=()),
    "cuda": Memory("cuda", fixed_sizes=(1, 32, 256), captures=True),
}
