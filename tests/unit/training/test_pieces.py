"""Parquet in pieces: the same series, in a file instead of in memory."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from tests.unit.training.series_files import settings_for, wave
from training import pieces
from training.dataset import read_dataset
from training.errors import DataError
from training.pieces import read_in_pieces
from training.segments import targets_of
from training.settings import TrainSettings
from training.windows import Windows


def _frame(num_series: int = 5, num_rows: int = 90) -> pd.DataFrame:
    """Series with a gap, a missing value, a column of words, one known ahead and one of the whole series."""
    parts = []
    for index in range(num_series):
        times = pd.date_range("2024-01-01", periods=num_rows + index, freq="h")
        part = pd.DataFrame({"unique_id": f"s{index}", "ds": times, "y": wave(len(times), seed=index)})
        part["day"] = np.where(times.day_of_week > 4, "rest", "work")
        part["plan"] = np.arange(len(times)) % 7.0
        part["size"] = 10.0 * index
        part.loc[30, "y"] = np.nan
        part.loc[len(part) - 2 :, ["y", "day"]] = None
        parts.append(part.drop(index=[40, 41]))
    return pd.concat(parts, ignore_index=True)


def _settings(path: Path, **options: Any) -> TrainSettings:
    return settings_for(path, categorical=("day",), future=("plan",), static=("size",), **options)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A series takes many batches, and a batch may hold the end of one and the start of the next."""
    monkeypatch.setattr(pieces, "_BATCH_VALUES", 6 * 37)


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("num_files", [1, 3])
def test_series_are_those_of_the_path_through_memory(num_files: int, tmp_path: Path) -> None:
    """A file, or a directory of files that cut through series, gives the same dataset, mapped from a file."""
    frame, folder = _frame(), tmp_path / "folder"
    whole = tmp_path / "whole.parquet"
    frame.to_parquet(whole)
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(frame)), num_files)):
        frame.iloc[part].to_parquet(folder / f"{number}.parquet")
    expected = read_dataset(_settings(whole))
    path = whole if num_files == 1 else folder
    found = read_in_pieces(_settings(path), tmp_path / "cache")
    assert (found.features, found.categories, found.roles) == (
        expected.features,
        expected.categories,
        expected.roles,
    )
    for one, other in zip(expected.series, found.series, strict=True):
        assert (one.id, one.validation_start) == (other.id, other.validation_start)
        np.testing.assert_array_equal(one.times, other.times)
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.ahead, other.ahead)
        assert isinstance(other.values, np.memmap)
        assert not other.values.flags.writeable


@pytest.mark.usefixtures("small_batches")
def test_a_series_whose_rows_are_apart_is_refused(tmp_path: Path) -> None:
    """Rows of a series after those of another cannot be read in pieces; the row is named."""
    frame = _frame()
    frame = pd.concat([frame, frame[frame.unique_id == "s0"].tail(1)], ignore_index=True)
    frame.to_parquet(tmp_path / "data.parquet")
    with pytest.raises(
        DataError, match=rf"row {len(frame)}, series 's0': expected the rows of a series together"
    ):
        read_in_pieces(_settings(tmp_path / "data.parquet"), tmp_path / "cache")


def test_a_row_off_the_grid_is_named_as_in_memory(tmp_path: Path) -> None:
    """The checks on order and grid are those of the other path, word for word."""
    frame = _frame()
    frame.loc[200, "ds"] += pd.Timedelta("7min")
    frame.to_parquet(tmp_path / "data.parquet")
    messages = []
    for read in (read_dataset, lambda settings: read_in_pieces(settings, tmp_path / "cache")):
        with pytest.raises(DataError) as caught:
            read(_settings(tmp_path / "data.parquet"))
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "row 201" in messages[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "expected a file, found none"), (b"unique_id,ds,y\n", "expected a Parquet file")],
)
def test_what_is_not_parquet_is_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    """A file that is not there, or of another kind, is named."""
    path = tmp_path / "data.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_in_pieces(settings_for(path), tmp_path / "cache")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"expected files \*.parquet"):
        read_in_pieces(settings_for(tmp_path / "empty"), tmp_path / "cache")


@pytest.mark.parametrize("lead", [2, 1, 0, -1, -4])
def test_windows_are_the_targets_of_a_slice(lead: int) -> None:
    """A slice of windows is that of `targets_of`; rows that are not judged have none."""
    numbers = wave(30)
    whole, lazy = targets_of(numbers, 4, lead), Windows(numbers, 4, lead, judged_from=9)
    for rows in (slice(0, 30), slice(5, 12), slice(28, 30), slice(9, 9)):
        expected = whole[rows].copy()
        expected[: max(9 - rows.start, 0)] = np.nan
        np.testing.assert_array_equal(lazy[rows], expected)


def _write_large(path: Path) -> int:
    """300 series of 40 columns, 200 MiB of numbers as they are; the number of rows."""
    num_series, num_rows, num_columns = 300, 2048, 40
    numbers = np.random.default_rng(0).normal(size=(num_rows, num_columns))
    frame = pd.DataFrame(numbers, columns=["y", *(f"c{index}" for index in range(num_columns - 1))])
    frame.insert(0, "ds", pd.date_range("2024-01-01", periods=num_rows, freq="h"))
    frame.insert(0, "unique_id", "s")
    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    names = table.schema.field(0)
    plain: dict[str, Any] = {"use_dictionary": False, "compression": "none"}
    with pyarrow.parquet.ParquetWriter(path, table.schema, **plain) as writer:
        for index in range(num_series):
            writer.write_table(
                table.set_column(0, names, pyarrow.array([f"s{index}"] * num_rows, names.type))
            )
    return num_series * num_rows


def test_memory_stays_small_beside_the_file(tmp_path: Path) -> None:
    """To read a file and walk an epoch takes less than a third of its size: a process looks at its own."""
    path = tmp_path / "data.parquet"
    num_rows = _write_large(path)
    size_mib = path.stat().st_size / 2**20
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.training.walks_a_file", path],
        capture_output=True,
        text=True,
        timeout=170,
        env={**os.environ, "MALLOC_ARENA_MAX": "2"},
    )
    assert done.returncode == 0, done.stderr
    walked, growth_mib = map(float, done.stdout.split())
    assert walked > 0.85 * num_rows
    assert growth_mib < size_mib / 3, f"{growth_mib:.0f} MiB for a file of {size_mib:.0f}"
