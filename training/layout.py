"""Guess how somebody's file is laid out: its time column, its target and its frequency."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.errors import DataError

_SAMPLE_ROWS = 5_000
_SECONDS = (("D", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_DAY_S = 86_400


@dataclass(frozen=True)
class Layout:
    """The options of a training run that a file itself can answer."""

    id_column: str
    time_column: str
    target: str
    freq: str


def guess_layout(path: Path) -> Layout:
    """From the first rows: `ds` or the first column of dates, `y` or the first column of numbers.

    The frequency is the commonest step between the times of the first series.

    Raises:
        DataError: no column fits, or the rows are too few to see a step.
    """
    try:
        sample = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, nrows=_SAMPLE_ROWS)
    except (OSError, ValueError) as error:
        raise DataError(path, expected="a CSV or Parquet file", found=str(error)) from error
    time_column = "ds" if "ds" in sample else _first(path, sample, _is_dates, "a column of dates")
    others = sample.drop(columns=[time_column, "unique_id"], errors="ignore")
    is_number = pd.api.types.is_numeric_dtype
    target = "y" if "y" in sample else _first(path, others, is_number, "a column of numbers")
    if "unique_id" in sample:
        sample = sample[sample["unique_id"] == sample["unique_id"].iloc[0]]
    times = pd.to_datetime(sample[time_column], format="ISO8601", errors="coerce", utc=True).dropna()
    times_s = times.dt.tz_localize(None).to_numpy().astype("datetime64[s]")
    return Layout("unique_id", time_column, target, _frequency(path, time_column, times_s))


def _first(path: Path, frame: pd.DataFrame, fits: Callable[[Any], bool], what: str) -> str:
    for column in frame:
        if fits(frame[column]):
            return str(column)
    raise DataError(path, expected=what, found=f"columns {', '.join(map(str, frame))}")


def _is_dates(column: "pd.Series[Any]") -> bool:
    if pd.api.types.is_numeric_dtype(column):
        return False
    return bool(pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True).notna().all())


def _frequency(path: Path, column: str, times: npt.NDArray[np.datetime64]) -> str:
    steps = np.diff(times).astype(np.int64)
    if (
        not len(steps)
        or (step := int(np.bincount(steps[steps > 0]).argmax() if (steps > 0).any() else 0)) < 1
    ):
        raise DataError(path, column=column, expected="rows at rising times", found=f"{len(times)} rows")
    days = step / _DAY_S
    if days == 7:
        return "W-" + pd.Timestamp(times[0]).day_name()[:3].upper()
    for least, most, at_start, at_end in ((28, 31, "MS", "ME"), (90, 92, "QS", "QE"), (365, 366, "YS", "YE")):
        if least <= days <= most:
            return at_start if pd.Timestamp(times[0]).day == 1 else at_end
    unit, seconds = next((unit, seconds) for unit, seconds in _SECONDS if step % seconds == 0)
    return unit if step == seconds else f"{step // seconds}{unit}"
