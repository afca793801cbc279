"""One series through the exported file, its state carried from chunk to chunk."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import onnxruntime

from models.artifact import FORECAST, ROWS, next_name
from models.manifest import Manifest
from training.rows import SeriesRows

_CHUNK = 512


def session_of(content: bytes) -> onnxruntime.InferenceSession:
    """A sealed file ready to run, on the CPU and on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def stream_chunks(
    session: onnxruntime.InferenceSession, manifest: Manifest, rows: npt.NDArray[np.float64] | SeriesRows
) -> Iterator[npt.NDArray[np.float32]]:
    """Forecasts after each row of one series (T, width), some hundred rows (T', K, Q) at a time, in order."""
    state = {spec.name: np.full((1, *spec.shape), spec.initial, spec.dtype) for spec in manifest.states}
    names = [FORECAST, *map(next_name, state)]
    for start in range(0, len(rows), _CHUNK):
        forecast, *after = session.run(names, {ROWS: rows[start : start + _CHUNK][None], **state})
        state = dict(zip(state, after, strict=True))
        yield forecast[0]


def stream(
    session: onnxruntime.InferenceSession, manifest: Manifest, rows: npt.NDArray[np.float64] | SeriesRows
) -> npt.NDArray[np.float32]:
    """Forecasts after each row of one series, (T, width) -> (T, K, Q)."""
    return np.concatenate(list(stream_chunks(session, manifest, rows)))
