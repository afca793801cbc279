"""Does a state go bad? The error of one stream early, and after a hundred thousand rows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.cells.fitted import Fitted
from training.scores import mean_absolute_error, median_column
from training.segments import targets_of
from training.streaming import session_of, stream

EARLY, LATE = 1_000, 100_000
# More than this, and a server would have to make the state anew.
MOST = 1.1


@dataclass(frozen=True)
class Endless:
    """Mean absolute errors of one cell.

    Attributes:
        early, late: over one whole pass of the series, about that row of the stream.
        first_above: the row about which a pass's error is more than 1.1 times the early one; 0 for never.
    """

    cell: str
    early: float
    late: float
    first_above: int

    @property
    def ratio(self) -> float:
        return self.late / self.early


def endless(fitted: Fitted, target: npt.NDArray[np.float64], late: int = LATE) -> Endless:
    """Stream a series (T,) over and over: every pass has the same rows, and the same rows to come.

    So the error of two passes differs by what the state has become, and by nothing else.
    """
    manifest, seen = fitted.manifest, fitted.manifest.look_ahead
    passes = late // len(target) + 2
    values = np.full((passes * len(target), manifest.row_layout.width), np.nan)
    values[:, 0] = np.tile(target, passes)
    middle = median_column(np.array(manifest.quantile_levels))
    forecasts = stream(session_of(fitted.content), manifest, values)[:, seen:, middle].astype(np.float64)
    targets = targets_of(values[:, 0], manifest.horizon - seen)
    # Without the last pass, whose rows to come are not all there.
    errors = [
        mean_absolute_error(targets[rows], forecasts[rows])
        for rows in (slice(at * len(target), (at + 1) * len(target)) for at in range(passes - 1))
    ]
    early = errors[EARLY // len(target)]
    above = [at for at in range(EARLY // len(target), len(errors)) if not errors[at] <= MOST * early]
    return Endless(fitted.cell, early, errors[late // len(target)], above[0] * len(target) if above else 0)
