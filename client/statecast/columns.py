"""The columns of a frame: how numbers lie in the bytes fields of `forecast.proto`."""

from typing import Any

import numpy as np
import numpy.typing as npt

HANDLE = np.dtype("<u4")
LENGTH = np.dtype("<u4")
COUNT = np.dtype("<u4")
POSITION = np.dtype("<i8")
TIME_US = np.dtype("<i8")
VALUE = np.dtype("<f8")
FORECAST = np.dtype("<f4")

# A position or time that is not given.
NO_POSITION = -1


class ColumnError(ValueError):
    """A column whose bytes are not a whole number of its items."""

    def __init__(self, field: str, expected: str, found: str) -> None:
        self.field, self.expected, self.found = field, expected, found
        super().__init__(f"{field}: expected {expected}, found {found}")


def pack(array: npt.ArrayLike, dtype: np.dtype[Any]) -> bytes:
    """Bytes of `array` in a column's dtype, C order; copies only where the dtype or order differs."""
    return np.ascontiguousarray(array, dtype).tobytes()


def unpack(content: bytes, dtype: np.dtype[Any], field: str) -> npt.NDArray[Any]:
    """A read-only view of a column's bytes, without a copy.

    Raises:
        ColumnError: the length is not a multiple of the item size.
    """
    if len(content) % dtype.itemsize:
        raise ColumnError(field, f"a multiple of {dtype.itemsize} bytes", f"{len(content)} bytes")
    return np.frombuffer(content, dtype)
