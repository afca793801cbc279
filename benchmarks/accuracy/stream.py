"""Forecasts of the exported file: every series streamed through ONNX Runtime, its state carried."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.problem import Batch, Problem, Whole
from models.artifact import unseal
from models.rows import RowLayout
from training.scores import Floats
from training.streaming import session_of, stream_chunks


def streamed(
    content: bytes, problem: Problem, origins_of: Callable[[Whole], npt.NDArray[np.int64]]
) -> Iterator[Batch]:
    """Stream each series from its first row; give what was forecast after the rows of `origins_of`."""
    _, manifest = unseal(content)
    session = session_of(content)
    for index, one in enumerate(problem.series):
        first, last = origins_of(one)[[0, -1]].tolist()
        rows = rows_of(manifest.row_layout, one.values[: last + 1], one.times[: last + 1])
        start = 0
        for forecast in stream_chunks(session, manifest, rows):
            wanted = np.arange(max(first, start), start + len(forecast))
            if len(wanted):
                yield Batch(index, wanted, forecast[wanted - start])
            start += len(forecast)


def rows_of(layout: RowLayout, values: Floats, times: npt.NDArray[np.datetime64]) -> Floats:
    """(T, W) as the graph reads them: features (T, F), nothing known ahead, times (T,) if asked for."""
    columns = [values, np.full((len(values), len(layout.future) * layout.horizon), np.nan)]
    if layout.reads_time:
        columns.append(times.astype("datetime64[us]").astype(np.float64)[:, None])
    return np.concatenate(columns, axis=1)
