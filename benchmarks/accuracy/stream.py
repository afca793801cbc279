"""Forecasts of the exported file: every series streamed through ONNX Runtime, its state carried."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import onnxruntime

from benchmarks.accuracy.problem import Batch, Problem, Whole, chunks
from models.artifact import FORECAST, ROWS, next_name, unseal
from models.manifest import Manifest
from models.rows import RowLayout
from training.scores import Floats

_CHUNK = 512


class Stream:
    """One session of an exported file."""

    def __init__(self, session: onnxruntime.InferenceSession, manifest: Manifest) -> None:
        self._session = session
        self._state = {
            spec.name: np.full((1, *spec.shape), spec.initial, spec.dtype) for spec in manifest.states
        }

    def feed(self, rows: Floats) -> npt.NDArray[np.float32]:
        """Forecasts (T, K, Q) made after each of rows (T, W), which the state has then seen."""
        names = [FORECAST, *map(next_name, self._state)]
        forecast, *after = self._session.run(names, {ROWS: rows[None], **self._state})
        self._state = dict(zip(self._state, after, strict=True))
        made: npt.NDArray[np.float32] = forecast[0]
        return made


def streamed(
    content: bytes, problem: Problem, origins_of: Callable[[Whole], npt.NDArray[np.int64]]
) -> Iterator[Batch]:
    """Stream each series from its first row; give what was forecast after the rows of `origins_of`.

    A forecast is made before any row after its origin is fed: it has seen nothing of what it is about.
    """
    _, manifest = unseal(content)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    for index, one in enumerate(problem.series):
        origins = origins_of(one)
        stream = Stream(session, manifest)
        rows = rows_of(manifest.row_layout, one.values[: origins[-1] + 1], one.times[: origins[-1] + 1])
        for start in range(0, int(origins[0]), _CHUNK):
            stream.feed(rows[start : min(start + _CHUNK, int(origins[0]))])
        for part in chunks(origins, _CHUNK):
            yield Batch(index, part, stream.feed(rows[part[0] : part[-1] + 1]))


def rows_of(layout: RowLayout, values: Floats, times: npt.NDArray[np.datetime64]) -> Floats:
    """(T, W) as the graph reads them: features (T, F), nothing known ahead, times (T,) if it asks for them."""
    columns = [values, np.full((len(values), len(layout.future) * layout.horizon), np.nan)]
    if layout.reads_time:
        columns.append(times.astype("datetime64[us]").astype(np.float64)[:, None])
    return np.concatenate(columns, axis=1)
