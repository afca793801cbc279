"""Forecasts of the exported file: every series streamed through ONNX Runtime, its state carried."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.accuracy.problem import Batch, Problem, Whole
from models.artifact import unseal
from training.dataset import SeriesData
from training.rows import SeriesRows
from training.streaming import session_of, stream_chunks


def streamed(
    content: bytes, problem: Problem, origins_of: Callable[[Whole], npt.NDArray[np.int64]]
) -> Iterator[Batch]:
    """Stream each series from its first row; give what was forecast after the rows of `origins_of`."""
    _, manifest = unseal(content)
    session = session_of(content)
    for index, one in enumerate(problem.series):
        first, last = origins_of(one)[[0, -1]].tolist()
        series = SeriesData(one.id, one.times, one.values, one.test_start)
        # Nothing after the last origin, so that what is known ahead there is unknown too.
        rows = SeriesRows(series, manifest.row_layout, last + 1)
        start = 0
        for forecast in stream_chunks(session, manifest, rows):
            wanted = np.arange(max(first, start), start + len(forecast))
            if len(wanted):
                yield Batch(index, wanted, forecast[wanted - start])
            start += len(forecast)
