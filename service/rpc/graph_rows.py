"""From the values that a caller sends to the rows that the graph reads: see `models.rows.RowLayout`.

Made where a request is read, so that all that comes after, journal and recent rows too, has whole rows.
"""

from collections.abc import Sequence

import numpy as np

from models.rows import RowLayout
from service.engine.runner import Rows
from service.sessions.frame import Integers
from service.store.contract import NO_TIME
from statecast.v1 import forecast_pb2 as pb


def is_width(found: int, layout: RowLayout) -> bool:
    """Whether rows may be sent so wide: the features alone, or what is known ahead besides."""
    return found in (layout.num_features, layout.num_values)


def expected_width(layout: RowLayout) -> str:
    """For messages."""
    if not layout.future:
        return f"{layout.num_features}"
    return f"{layout.num_features}, or {layout.num_values} with what is known ahead"


def num_rows_of(frame: pb.Frame, layout: RowLayout) -> int:
    """Rows of a frame by the size of its columns, which nobody has checked."""
    if not layout.future:
        return len(frame.values) // (8 * layout.num_features)
    if not frame.lengths:
        return len(frame.handles) // 4
    return int(np.frombuffer(frame.lengths, "<u4", len(frame.lengths) // 4).sum())


def graph_rows(values: Rows, times_us: Integers | None, layout: RowLayout) -> Rows:
    """Rows (R, width); `values` themselves where the graph reads nothing else.

    Args:
        values: (R, F), or (R, `num_values`).
        times_us: (R,), NO_TIME where a row has none, or None.
    """
    sent = values.shape[1]
    if sent == layout.width:
        return values
    rows = np.full((len(values), layout.width), np.nan)
    rows[:, :sent] = values
    if layout.reads_time and times_us is not None:
        rows[:, -1] = np.where(times_us == NO_TIME, np.nan, times_us)
    return rows


def graph_row(values: Sequence[float], time_us: int, layout: RowLayout) -> tuple[float, ...]:
    """The same of one row."""
    row = (*values, *[np.nan] * (layout.num_values - len(values)))
    if not layout.reads_time:
        return row
    return (*row, np.nan if time_us == NO_TIME else float(time_us))
