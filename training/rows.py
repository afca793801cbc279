"""The rows of a series as the graph reads them: the one place where training makes them."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from models.rows import RowLayout
from training.windows import Windows

if TYPE_CHECKING:
    from training.dataset import Dataset, SeriesData
    from training.settings import TrainSettings

Floats = npt.NDArray[np.float64]


def layout_of(dataset: "Dataset", settings: "TrainSettings") -> RowLayout:
    """The columns of a row of this file for a model with these options."""
    return RowLayout(len(dataset.features), dataset.future, settings.horizon, settings.calendar)


class SeriesRows:
    """Rows of one series, (T, width) float64 by `RowLayout`, made as they are asked for.

    What a row says of the K steps after it is a view of the series: only a slice that is taken holds K
    copies. A step of which nothing was observed is NaN throughout, its time and its future as well: so
    the server fills a gap, and the graph's own clock goes on.
    """

    def __init__(self, one: "SeriesData", layout: RowLayout, num_rows: int | None = None) -> None:
        """The first `num_rows` of the series, all where it is None; what follows them is not looked at."""
        self._layout = layout
        self._values = one.values if num_rows is None else one.values[:num_rows]
        self._future = [self._windows(one, column, num_rows is None) for column in layout.future]
        self._times = one.times

    @property
    def width(self) -> int:
        return self._layout.width

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, rows: slice) -> Floats:
        """(N, width) of a slice without a step; where there are no columns but the features, a view."""
        values = self._values[rows]
        if self._layout.width == self._layout.num_features:
            return values
        made = np.concatenate([values, *(windows[rows] for windows in self._future)], axis=1)
        if self._layout.reads_time:
            times = self._times[: len(self)][rows].astype(np.int64).astype(np.float64)
            made = np.concatenate([made, times[:, None]], axis=1)
        made[np.isnan(values).all(axis=1)] = np.nan
        return made

    def _windows(self, one: "SeriesData", column: int, to_the_end: bool) -> Windows:
        """(T, K): of each row the K values after it."""
        ahead = one.ahead[: self._layout.horizon, column] if to_the_end and one.ahead is not None else None
        return Windows(self._values[:, column], self._layout.horizon, after=ahead)
