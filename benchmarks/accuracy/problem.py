"""A data set as it is trained on and judged: whole series, and from where on nothing may be seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from training import scores
from training.scores import Floats
from training.segments import targets_of

LEVELS = tuple(level / 10 for level in range(1, 10))


class DataMissing(Exception):
    """A file that the benchmark needs is not in the folder that was given."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path}: expected a file of the benchmark's data, found none; name the folder that holds it: "
            "make accuracy DATA=folder (docs/accuracy.md says what it holds)"
        )


@dataclass(frozen=True)
class Whole:
    """One series with its test part; T steps, F features.

    Attributes:
        times: (T,) datetime64[us].
        values: (T, F) float64, the target first, NaN where missing.
        test_start: the first step that neither training nor any choice may see.
    """

    id: str
    times: npt.NDArray[np.datetime64]
    values: Floats
    test_start: int


class Batch(NamedTuple):
    """Forecasts of one series: made after each of n rows, K steps ahead, Q quantile levels.

    Attributes:
        series: index in `Problem.series`.
        origins: (n,) the rows after which they were made.
        forecast: (n, K, Q).
    """

    series: int
    origins: npt.NDArray[np.int64]
    forecast: npt.NDArray[np.floating]


@dataclass(frozen=True)
class Problem:
    """Every series of a data set, and what is forecast of them.

    Attributes:
        features: names, the target first.
        freq: pandas' name for the step.
        horizon: K.
        season: steps of the seasonal naive forecast that stands beside ours.
        validation: steps before the test part on which choices are made.
        levels: of the quantiles.
    """

    features: tuple[str, ...]
    freq: str
    horizon: int
    season: int
    validation: int
    series: tuple[Whole, ...]
    levels: tuple[float, ...] = LEVELS

    def test_origins(self, one: Whole) -> npt.NDArray[np.int64]:
        """Rows after which all K steps to come lie in the test part."""
        return np.arange(one.test_start - 1, len(one.times) - self.horizon)

    def validation_origins(self, one: Whole) -> npt.NDArray[np.int64]:
        """Rows after which all K steps to come lie in the validation part."""
        return np.arange(one.test_start - self.validation - 1, one.test_start - self.horizon)

    def actual(self, batch: Batch) -> Floats:
        """(n, K): what came after a batch's rows."""
        return targets_of(self.series[batch.series].values[:, 0], self.horizon)[batch.origins]

    def write_training(self, path: Path) -> Path:
        """Write everything before the test parts as a Parquet file in the long layout."""
        frames = []
        for one in self.series:
            known = slice(one.test_start)
            columns = dict(zip(self.features, one.values[known].T, strict=True))
            frames.append(pd.DataFrame({"unique_id": one.id, "ds": one.times[known], **columns}))
        pd.concat(frames, ignore_index=True).to_parquet(path, index=False)
        return path


def seasonal_naive(problem: Problem, season: int) -> Iterator[Batch]:
    """The value one season before, at every level; of a season of one, the last value."""
    for index, one in enumerate(problem.series):
        for origins in chunks(problem.test_origins(one)):
            begin = max(0, origins[0] + 1 - 4 * season)
            history = one.values[begin : origins[-1] + 1, 0]
            ahead = scores.seasonal_naive(history, problem.horizon, season)[origins - begin]
            yield Batch(index, origins, point(ahead, problem))


def point(forecast: Floats, problem: Problem) -> Floats:
    """(n, K) as (n, K, Q): a forecast that is sure of itself."""
    return np.repeat(forecast[..., None], len(problem.levels), axis=-1)


def chunks(origins: npt.NDArray[np.int64], size: int = 512) -> Sequence[npt.NDArray[np.int64]]:
    """The same in pieces, so that long horizons fit into memory."""
    return np.split(origins, range(size, len(origins), size))
