"""The two ways to run a forecaster, torch and ONNX Runtime on the exported file, behind one call."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
import onnxruntime
import torch

from models.artifact import FORECAST, READ_OUT, ROWS, next_name
from models.forecaster import Forecaster
from models.manifest import StateSpec
from models.state import initial_state
from tests import model_files

Array = np.ndarray[Any, Any]
State = dict[str, Array]


class Runner(Protocol):
    """Runs rows (B, T, F) from a state by name, changing neither."""

    def initial(self, batch_size: int) -> State: ...

    def run(self, x: Array, state: Mapping[str, Array]) -> tuple[Array, Array, State]:
        """Forecasts (B, T, K, Q), the read-out (B, K, Q) of the incoming state, the next state."""
        ...


class TorchRunner:
    def __init__(self, forecaster: Forecaster) -> None:
        self.forecaster = forecaster

    def initial(self, batch_size: int) -> State:
        state = initial_state(self.forecaster.state_init(), batch_size)
        return {name: value.numpy() for name, value in state.items()}

    def run(self, x: Array, state: Mapping[str, Array]) -> tuple[Array, Array, State]:
        tensors = {name: torch.from_numpy(value.copy()) for name, value in state.items()}
        with torch.inference_mode():
            forecast, after = self.forecaster(torch.from_numpy(x), tensors)
            read_out = self.forecaster.read_out(tensors)
        return forecast.numpy(), read_out.numpy(), {name: value.numpy() for name, value in after.items()}


class OnnxRunner:
    def __init__(self, content: bytes, states: Sequence[StateSpec]) -> None:
        self.states = states
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def initial(self, batch_size: int) -> State:
        return {
            spec.name: np.full((batch_size, *spec.shape), spec.initial, spec.dtype) for spec in self.states
        }

    def run(self, x: Array, state: Mapping[str, Array]) -> tuple[Array, Array, State]:
        names = [FORECAST, READ_OUT, *map(next_name, state)]
        forecast, read_out, *after = self.session.run(names, {ROWS: x, **state})
        return forecast, read_out, dict(zip(state, after, strict=True))


@cache
def runner(kind: str, cell: str) -> Runner:
    """One per process: an export takes seconds."""
    if kind == "torch":
        return TorchRunner(model_files.forecaster(cell))
    content, manifest = model_files.sealed("m", cell)
    return OnnxRunner(content, manifest.states)
