"""The Numenta anomaly benchmark's score (Lavin & Ahmad 2015, arXiv 1510.03336, sections 3.1 to 3.3).

Each labelled anomaly is a window of rows. The first detection in a window counts, the earlier the more; each
detection outside costs, the less the closer it follows a window; a window without one costs. Written from the
paper; where it leaves a constant open, the note beside it says what was taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# The first 15 % of a stream are for learning, and of a long one's first 5000 rows.
_PROBATION, _MOST_ROWS = 0.15, 5000
# Beyond so many widths behind a window a detection is plainly wrong.
_FAR = 3.0


@dataclass(frozen=True)
class Profile:
    """What each kind of detection weighs (table 1 of the paper, costs as positive numbers)."""

    hit: float
    false_alarm: float
    miss: float


PROFILES: Mapping[str, Profile] = {
    "standard": Profile(1.0, 0.11, 1.0),
    "reward low FP": Profile(1.0, 0.22, 1.0),
    "reward low FN": Profile(1.0, 0.11, 2.0),
}


@dataclass(frozen=True)
class Stream:
    """One file: its windows as first and last row, and the score that a detector gave each row.

    Attributes:
        windows: ascending, both ends included.
        scores: (T,), the higher the more anomalous; NaN is never a detection.
    """

    windows: Sequence[tuple[int, int]]
    scores: Floats


def probation(num_rows: int) -> int:
    """Rows at the start whose detections do not count."""
    return int(_PROBATION * min(num_rows, _MOST_ROWS))


def sigmoid(position: Floats) -> Floats:
    """1 far before 0, 0 there, -1 far behind: 2 / (1 + exp(5 y)) - 1."""
    return 2 / (1 + np.exp(5 * position)) - 1


def worth(num_rows: int, windows: Sequence[tuple[int, int]]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """What a detection at each row is worth, (T,), and its window's index, -1 outside of any.

    In a window from 1 at its first row down towards 0 at its last; outside from 0 behind a window down to -1,
    and -1 before the first.
    """
    value, window = np.full(num_rows, -1.0), np.full(num_rows, -1)
    rows = np.arange(num_rows)
    for index, (first, last) in enumerate(windows):
        width = last - first + 1
        behind = (rows - last) / max(width - 1, 1)
        after = (rows > last) & (behind <= _FAR)
        value = np.where(rows > last, -1.0, value)
        value[after] = sigmoid(behind[after])
        inside = slice(first, last + 1)
        # From -1 at the first row; the score of a detection there is taken as the whole.
        value[inside] = sigmoid((rows[inside] - last - 1) / width) / sigmoid(np.array(-1.0))
        window[inside] = index
    return value, window


def best(streams: Sequence[Stream], profile: Profile) -> tuple[float, float]:
    """The score of a corpus, 0 for a detector that never speaks and 100 for a perfect one, and its threshold.

    One threshold serves all streams: the best for the profile, as the benchmark chooses it.
    """
    flat = [_counted(number, stream) for number, stream in enumerate(streams)]
    scores, values, windows = (np.concatenate(column) for column in zip(*flat, strict=True))
    order = np.argsort(-scores, kind="stable")
    total, found = 0.0, dict[int, float]()
    reached, threshold = 0.0, float("inf")
    for place, row in enumerate(order.tolist()):
        value, window = float(values[row]), int(windows[row])
        if window < 0:
            total += profile.false_alarm * value
        elif value > found.get(window, 0.0):
            total += profile.hit * (value - found.get(window, 0.0)) + profile.miss * (window not in found)
            found[window] = value
        is_last = place + 1 == len(order) or scores[order[place + 1]] != scores[row]
        if is_last and total > reached:
            reached, threshold = total, float(scores[row])
    num_windows = sum(len(stream.windows) for stream in streams)
    return 100 * reached / (num_windows * (profile.hit + profile.miss)), threshold


def _counted(number: int, stream: Stream) -> tuple[Floats, Floats, npt.NDArray[np.int64]]:
    """Score, worth and window (distinct over all streams) of each row that can be a detection."""
    value, window = worth(len(stream.scores), stream.windows)
    counts = ~np.isnan(stream.scores)
    counts[: probation(len(stream.scores))] = False
    distinct = np.where(window >= 0, window + number * 1000, -1)
    return stream.scores[counts], value[counts], distinct[counts]
