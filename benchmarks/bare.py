"""The reference for computing: ONNX Runtime alone on the benchmark's model, one thread."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx.utils import Extractor

from benchmarks.processes import on_core
from models.artifact import FORECAST, READ_OUT, ROWS, next_name, unseal

# `rows` and every state are inputs of each graph; a graph may ask for the rows' lengths besides.
_Array = npt.NDArray[np.generic]


class Bare:
    """The graphs of one model file, each run by itself."""

    def __init__(self, file: Path, core: int | None) -> None:
        self._core = core
        graph, self.manifest = unseal(file.read_bytes())
        states = [state.name for state in self.manifest.states]
        self._next = [next_name(name) for name in states]
        self._others = [tensor.name for tensor in graph.graph.input if tensor.name not in {ROWS, *states}]
        cut = Extractor(graph)
        inputs = [ROWS, *states, *self._others]

        def opened(inputs: list[str], outputs: list[str]) -> onnxruntime.InferenceSession:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.log_severity_level = 3
            content = cut.extract_model(inputs, outputs).SerializeToString()
            return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

        self._forecast = opened(inputs, [FORECAST, *self._next])
        self._advance = opened(inputs, self._next)
        self._read_out = opened(states, [READ_OUT])

    def step_s(self, batch_size: int, seconds: float, *, forecast: bool) -> npt.NDArray[np.float64]:
        """Durations of single steps of a batch, states fed back, nothing copied between steps."""
        session, outputs = (self._forecast, [FORECAST]) if forecast else (self._advance, [])
        runs = self._ping_pong(session, outputs, batch_size)
        with on_core(self._core):
            for run in runs * 3:
                run()
            durations = []
            end = time.perf_counter() + seconds
            before = time.perf_counter()
            while before < end:
                for run in runs:
                    run()
                    after = time.perf_counter()
                    durations.append(after - before)
                    before = after
        return np.array(durations)

    def history_s(self, batch_size: int, num_rows: int) -> float:
        """One run over whole histories, and the read-out of their last state."""
        rows = np.random.default_rng(0).standard_normal((batch_size, num_rows, 1))
        feeds = self._feeds(rows)
        with on_core(self._core):
            before = time.perf_counter()
            self._read(self._advance.run(self._next, feeds))
            return time.perf_counter() - before

    def replay(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Forecasts (B, K, Q) after `rows` (B, T) from the initial state."""
        return self._read(self._advance.run(self._next, self._feeds(rows[..., None])))

    def _read(self, states: list[_Array]) -> npt.NDArray[np.float32]:
        by_name = dict(zip([state.name for state in self.manifest.states], states, strict=True))
        wanted = [tensor.name for tensor in self._read_out.get_inputs()]
        found: npt.NDArray[np.float32] = self._read_out.run([READ_OUT], {n: by_name[n] for n in wanted})[0]
        return found

    def _feeds(self, rows: npt.NDArray[np.float64]) -> dict[str, _Array]:
        feeds: dict[str, _Array] = {ROWS: rows}
        for state in self.manifest.states:
            feeds[state.name] = np.full((len(rows), *state.shape), state.initial, state.dtype)
        return feeds | {name: np.full(len(rows), rows.shape[1], np.int64) for name in self._others}

    def _ping_pong(
        self, session: onnxruntime.InferenceSession, outputs: list[str], batch_size: int
    ) -> list[Callable[[], None]]:
        """Two steps over two sets of states, each the other's input; forecasts go to one buffer."""
        feeds = self._feeds(np.random.default_rng(0).standard_normal((batch_size, 1, 1)))
        names = [state.name for state in self.manifest.states]
        make = onnxruntime.OrtValue.ortvalue_from_numpy
        fixed = {name: make(feeds[name]) for name in (ROWS, *self._others)}
        sets = [{name: make(feeds[name].copy()) for name in names} for _ in range(2)]
        shape = (batch_size, 1, self.manifest.horizon, len(self.manifest.quantile_levels))
        forecast = make(np.empty(shape, np.float32))
        runs: list[Callable[[], None]] = []
        for before, after in (sets, reversed(sets)):
            binding = session.io_binding()
            for name, value in {**fixed, **before}.items():
                binding.bind_ortvalue_input(name, value)
            for name in outputs:
                binding.bind_ortvalue_output(name, forecast)
            for name in names:
                binding.bind_ortvalue_output(next_name(name), after[name])
            # A binding keeps what is bound to it alive.
            runs.append(partial(session.run_with_iobinding, binding))
        return runs
