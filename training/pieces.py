"""Parquet read in pieces: series go to a file one after the other and are mapped from it.

Memory holds the longest series and one batch of rows; the file's pages are the system's to keep or drop.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow
import pyarrow.parquet

from training.dataset import (
    Dataset,
    SeriesData,
    categorical_of,
    check_required,
    names_of,
    series_of,
)
from training.errors import DataError
from training.lengths import long_enough
from training.roles import roles_of
from training.settings import TrainSettings
from training.table import Table, categories_of, check_columns, table_of

# Numbers of a batch, 2 MiB of them.
_BATCH_VALUES = 2**18
_SUFFIX = ".parquet"


def parquet_files(path: Path) -> list[Path]:
    """The file itself, or the Parquet files of a directory, by name.

    Raises:
        DataError: there is none.
    """
    if not path.is_dir():
        return [path]
    files = sorted(path.glob(f"*{_SUFFIX}"))
    if not files:
        raise DataError(path, expected=f"files *{_SUFFIX}", found="none in this directory")
    return files


def read_in_pieces(settings: TrainSettings, directory: Path) -> Dataset:
    """As `training.dataset.read_dataset` reads, the series' values and times in a file in `directory`.

    Raises:
        DataError: what `read_dataset` raises, or a series whose rows are not together.
    """
    file = SeriesFile(directory)
    tables = series_tables(settings)
    first = next(tables)  # a file without rows is refused
    check_required(first, settings)
    roles = roles_of(first, settings)
    makers = (
        partial(series_of, table, str(table.ids[0]), np.arange(len(table.ids)), roles, settings)
        for table in chain([first], tables)
    )
    for one in long_enough(settings.data, makers):
        file.add(one)
    return Dataset(first.features, file.series(), first.categories, roles=roles)


def series_tables(settings: TrainSettings) -> Iterator[Table]:
    """Each series' rows as a table of its own, in the order of the files.

    Raises:
        DataError: not Parquet, what a table is refused for, or a series whose rows are not together.
    """
    waiting: list[Table] = []
    ended: set[str] = set()
    for table in _tables(settings):
        starts = np.flatnonzero(np.concatenate([[True], table.ids[1:] != table.ids[:-1]]))
        for start, stop in zip(starts, [*starts[1:], len(table.ids)], strict=True):
            part = _rows_of(table, slice(start, stop))
            if waiting and waiting[0].ids[0] != part.ids[0]:
                ended.add(str(waiting[0].ids[0]))
                yield _joined(waiting)
                waiting = []
            if str(part.ids[0]) in ended:
                raise DataError(
                    part.path,
                    row=int(part.rows[0]),
                    series=str(part.ids[0]),
                    expected="the rows of a series together, as they are read in pieces",
                    found="rows of another before this one",
                )
            waiting.append(part)
    if not waiting:
        raise DataError(settings.data, expected="at least one row", found="none")
    yield _joined(waiting)


class SeriesFile:
    """Series that are written to a file one after the other, and read back as arrays mapped from it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # Without a name: it is gone when the last array of it is, and no run finds another's.
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 (lives as long as the series do)
        self._places: list[tuple[SeriesData, int, int]] = []
        self._end = 0

    def add(self, one: SeriesData) -> None:
        """Write a series' times and values; only where they are is kept."""
        times, values = one.times.astype("datetime64[us]"), np.ascontiguousarray(one.values)
        for array in (times, values):
            self._file.write(array.tobytes())
        place = self._end
        self._end += times.nbytes + values.nbytes
        # Copies of nothing: a view would keep the whole series.
        bare = replace(one, times=times[:0].copy(), values=values[:0].copy())
        self._places.append((bare, place, len(times)))

    def series(self) -> tuple[SeriesData, ...]:
        """All that were added, their arrays read-only."""
        self._file.flush()
        whole = np.memmap(self._file, dtype=np.float64, mode="r")
        return tuple(_mapped(whole, *place) for place in self._places)


def _mapped(whole: npt.NDArray[np.float64], one: SeriesData, place: int, num_rows: int) -> SeriesData:
    start = place // 8
    values = whole[start + num_rows : start + num_rows + num_rows * one.values.shape[1]]
    times = whole[start : start + num_rows].view("datetime64[us]")
    return replace(one, times=times, values=values.reshape(num_rows, -1))


def _tables(settings: TrainSettings) -> Iterator[Table]:
    words = _words(settings)
    for file, frame in _frames(settings.data):
        check_columns(file, frame.columns, (settings.time_column, settings.target, *words))
        yield table_of(file, frame, **names_of(settings), words=words)


def _words(settings: TrainSettings) -> dict[str, tuple[str, ...]]:
    """The categories of each column of words, from all of its rows."""
    found: dict[str, set[str]] = {name: set() for name in sorted(categorical_of(settings))}
    for file, frame in _frames(settings.data) if found else ():
        check_columns(file, frame.columns, found)
        for name, words in found.items():
            words.update(categories_of(frame[name]))
    return {name: tuple(sorted(words)) for name, words in found.items()}


def _frames(path: Path) -> Iterator[tuple[Path, pd.DataFrame]]:
    """Batches of rows and the file that they are of; rows are numbered in each file, from 1."""
    for file in parquet_files(path):
        first_row = 1
        try:
            # By default pyarrow 26 reads ahead and lets go of nothing before the file is closed.
            with pyarrow.parquet.ParquetFile(file, pre_buffer=False) as parquet:
                num_rows = max(_BATCH_VALUES // max(len(parquet.schema_arrow), 1), 1)
                for batch in parquet.iter_batches(num_rows):
                    frame = batch.to_pandas()
                    frame.index = pd.RangeIndex(first_row, first_row + len(frame))
                    first_row += len(frame)
                    if len(frame):
                        yield file, frame
        except FileNotFoundError as error:
            raise DataError(file, expected="a file", found="none of that name") from error
        except (OSError, pyarrow.ArrowException) as error:
            raise DataError(file, expected="a Parquet file", found=str(error)) from error


def _rows_of(table: Table, rows: slice) -> Table:
    return replace(
        table,
        rows=table.rows[rows],
        ids=table.ids[rows],
        times=table.times[rows],
        values=table.values[rows].copy(),  # a view would keep the whole batch
    )


def _joined(parts: list[Table]) -> Table:
    """One series' rows; of several files the first is named in errors, its rows numbered on."""
    if len(parts) == 1:
        return parts[0]
    return replace(
        parts[0],
        rows=np.concatenate([part.rows for part in parts]),
        ids=np.concatenate([part.ids for part in parts]),
        times=np.concatenate([part.times for part in parts]),
        values=np.concatenate([part.values for part in parts]),
    )
