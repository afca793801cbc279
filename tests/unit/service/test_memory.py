"""Buffers: tensors at fixed addresses, here and on a device."""

import numpy as np
import onnxruntime
import pytest

from service.engine.memory import MEMORIES


@pytest.fixture(params=MEMORIES)
def memory(request):
    """Every kind that this machine has."""
    if request.param == "cuda" and "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has no CUDAExecutionProvider")
    return MEMORIES[request.param]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_a_buffer_holds_what_is_written_at_one_address(memory, dtype):
    """Columns of any layout go in whole, and come out as copies."""
    buffer = memory.buffer((3, 2), dtype)
    address = buffer.value.data_ptr()
    column = np.arange(12, dtype=dtype).reshape(2, 6).T[::2]
    buffer.write(column)
    found = buffer.read()
    assert found.dtype == dtype
    assert (found == column).all()
    found[:] = 0
    buffer.write(column + 1)
    assert (buffer.read() == column + 1).all()
    assert not found.any()
    assert buffer.value.data_ptr() == address
    assert buffer.value.device_name() == memory.device


def test_rows_begin_alike(memory):
    """Every row is the one given."""
    assert memory.rows(3, np.array([0.0, 1.5])).read().tolist() == [[0.0, 1.5]] * 3
    assert not memory.rows(3, np.zeros(2)).read().any()


def test_more_rows_than_there_is_memory_for_are_refused(memory):
    """Before anything is computed."""
    with pytest.raises(MemoryError):
        memory.rows(10**15, np.zeros(10))
