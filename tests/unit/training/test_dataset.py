"""Series on their grid."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.unit.training.series_files import settings_for, write_csv
from training.dataset import fewest_steps, read_dataset, summary, validation_start
from training.demonstration import FREQUENCY, co2_weekly
from training.errors import DataError
from training.pieces import read_in_pieces


def test_gaps_become_missing_rows(tmp_path: Path) -> None:
    """A row left out of the file stands on the grid as NaN, at its own time."""
    path = write_csv(tmp_path / "data.csv", num_rows=50)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:10] + lines[12:]))
    (one,) = read_dataset(settings_for(path)).series
    assert len(one.times) == 50
    assert np.isnan(one.target).nonzero()[0].tolist() == [9, 10]
    assert set(np.diff(one.times)) == {np.timedelta64(1, "h")}


def test_series_keep_the_order_of_the_file_and_may_interleave(tmp_path: Path) -> None:
    """Rows of several series may alternate; the first id of the file comes first."""
    path = tmp_path / "data.csv"
    rows = [f"{name},2024-01-{day:02d},{day}" for day in range(1, 21) for name in ("zebra", "ant")]
    path.write_text("unique_id,ds,y\n" + "\n".join(rows))
    dataset = read_dataset(settings_for(path, freq="D"))
    assert [one.id for one in dataset.series] == ["zebra", "ant"]
    assert dataset.series[1].target.tolist() == list(range(1, 21))


def test_columns_may_have_other_names_and_order(tmp_path: Path) -> None:
    """The target comes first whatever its place; the other columns are covariates in the file's order."""
    path = tmp_path / "data.csv"
    rows = [f"{day},2024-01-{day:02d},{day * 2},7" for day in range(1, 21)]
    path.write_text("wind,when,sold,rain\n" + "\n".join(rows))
    dataset = read_dataset(settings_for(path, freq="D", time_column="when", target="sold"))
    assert dataset.features == ("sold", "wind", "rain")
    assert dataset.series[0].values[4].tolist() == [10, 5, 7]


@pytest.mark.parametrize("word", ["", "NA", "nan", "NaN", "null", "None"])
def test_words_for_missing_are_missing(word: str, tmp_path: Path) -> None:
    """An empty cell and the usual words are missing values, not text."""
    path = tmp_path / "data.csv"
    rows = [f"2024-01-{day:02d},{word if day == 5 else day}" for day in range(1, 21)]
    path.write_text("ds,y\n" + "\n".join(rows))
    (one,) = read_dataset(settings_for(path, freq="D")).series
    assert np.isnan(one.target).nonzero()[0].tolist() == [4]


def test_times_with_an_offset_become_utc(tmp_path: Path) -> None:
    """Times are compared on one clock."""
    path = tmp_path / "data.csv"
    rows = [f"2024-01-01T{hour:02d}:00:00+02:00,{hour}" for hour in range(24)]
    path.write_text("ds,y\n" + "\n".join(rows))
    (one,) = read_dataset(settings_for(path)).series
    assert one.times[0] == np.datetime64("2023-12-31T22:00")


def test_parquet_and_csv_are_the_same(tmp_path: Path) -> None:
    """A file reads alike in either format."""
    path = write_csv(tmp_path / "data.csv", num_rows=40, num_series=2, covariate=True)
    pd.read_csv(path, parse_dates=["ds"]).to_parquet(tmp_path / "data.parquet")
    first = read_dataset(settings_for(path))
    second = read_dataset(settings_for(tmp_path / "data.parquet"))
    assert first.features == second.features
    for one, other in zip(first.series, second.series, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.times, other.times)


@pytest.mark.parametrize(
    ("freq", "alias"), [("ME", "ME"), ("MS", "MS"), ("B", "B"), ("QS", "QS"), ("15min", "15min")]
)
def test_calendar_frequencies(freq: str, alias: str, tmp_path: Path) -> None:
    """Month ends, business days and quarters are one step apart, and a gap is filled at the right time."""
    times = pd.date_range("2020-01-31", periods=60, freq=alias)
    frame = pd.DataFrame({"ds": times, "y": np.arange(60.0)})
    frame.drop(index=[7, 8]).to_csv(tmp_path / "data.csv", index=False)
    (one,) = read_dataset(settings_for(tmp_path / "data.csv", freq=freq)).series
    np.testing.assert_array_equal(one.times, times.to_numpy().astype("datetime64[us]"))
    assert np.isnan(one.target).nonzero()[0].tolist() == [7, 8]


@pytest.mark.parametrize("in_pieces", [False, True])
def test_series_too_short_are_left_out_and_named(
    in_pieces: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One with too few rows and one with too few values do not stop the others; a warning counts them."""
    lengths = {"short": 3, "long": 40, "empty": 40, "other": 30}
    rows = pd.concat(
        pd.DataFrame({"unique_id": name, "ds": pd.date_range("2024-01-01", periods=num), "y": range(num)})
        for name, num in lengths.items()
    )
    rows["y"] = rows["y"].astype(float).mask((rows["unique_id"] == "empty") & (rows["y"] < 38))
    path = tmp_path / "data.parquet"
    rows.to_parquet(path)
    settings = settings_for(path, freq="D")
    dataset = read_in_pieces(settings, tmp_path) if in_pieces else read_dataset(settings)
    assert [one.id for one in dataset.series] == ["long", "other"]
    (told,) = caplog.messages
    assert "2 of 4 series left out, too short to train on: 'short' (3), 'empty' (0)" in told
    assert f"{path}: " in told


@pytest.mark.parametrize("in_pieces", [False, True])
def test_series_that_are_all_too_short_are_refused(in_pieces: bool, tmp_path: Path) -> None:
    """Nothing is left to train on: the first is named, with what it should have."""
    rows = pd.concat(
        pd.DataFrame({"unique_id": name, "ds": pd.date_range("2024-01-01", periods=3), "y": 1.0})
        for name in "ab"
    )
    path = tmp_path / "data.parquet"
    rows.to_parquet(path)
    settings = settings_for(path, freq="D")
    with pytest.raises(DataError, match=r"series 'a': expected at least \d+ rows to train.*found 3"):
        read_in_pieces(settings, tmp_path) if in_pieces else read_dataset(settings)


def test_fewest_steps_is_enough_and_no_less() -> None:
    """A series of the length asked for has its warm-up, a horizon to train on and one to validate."""
    for horizon in (1, 3, 24):
        for fraction in (0.01, 0.1, 0.5):
            needed = fewest_steps(horizon, fraction)
            start = validation_start(needed, horizon, fraction)
            assert start >= 4 + horizon - 1
            assert needed - start >= horizon


def test_summary_counts_what_was_read(tmp_path: Path) -> None:
    """The manifest's summary counts series, grid rows and missing targets, times in UTC."""
    path = write_csv(tmp_path / "data.csv", num_rows=48, num_series=2)
    path.write_text("\n".join(line for i, line in enumerate(path.read_text().splitlines()) if i != 10))
    told = summary(read_dataset(settings_for(path)).series)
    assert (told.num_series, told.num_rows, told.num_missing) == (2, 96, 1)
    assert told.first_time == datetime(2024, 1, 1, tzinfo=UTC)
    assert told.last_time == datetime(2024, 1, 2, 23, tzinfo=UTC)


def test_demonstration_series_is_real_and_has_gaps(tmp_path: Path) -> None:
    """The shipped series reads without a word of complaint."""
    co2_weekly().to_csv(tmp_path / "co2.csv", index=False)
    (one,) = read_dataset(settings_for(tmp_path / "co2.csv", freq=FREQUENCY, horizon=8)).series
    assert (one.id, len(one.times), int(np.isnan(one.target).sum())) == ("mauna-loa-co2", 2284, 59)
