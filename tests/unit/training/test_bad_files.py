"""A file that cannot be trained on is refused with its place, what was expected and what was found."""

from pathlib import Path

import pandas as pd
import pytest

from tests.unit.training.series_files import settings_for, write_csv
from training.dataset import read_dataset
from training.errors import DataError

_HOURS = [f"2024-01-01T{hour:02d}:00" for hour in range(24)]


def _csv(*changes: tuple[int, str]) -> str:
    """Twelve good lines after the header, some of them replaced by line number."""
    lines = ["unique_id,ds,y,load", *(f"a,{_HOURS[i]},{i}.5,1" for i in range(12))]
    for line, text in changes:
        lines[line - 1] = text
    return "\n".join(lines) + "\n"


# Name: the file, then pieces of the message in order.
BAD_FILES: dict[str, tuple[str, list[str]]] = {
    "empty": ("", ["row 1", "expected a header", "found an empty file"]),
    "header_only": ("unique_id,ds,y\n", ["expected at least one row", "found none"]),
    "no_target": ("unique_id,ds,value\na,2024-01-01,1\n", ["expected a column 'y'", "unique_id, ds, value"]),
    "no_time": ("unique_id,date,y\na,2024-01-01,1\n", ["expected a column 'ds'", "unique_id, date, y"]),
    "semicolons": ("unique_id;ds;y\na;2024-01-01;1\n", ["expected a column 'ds'", "found", "unique_id;ds;y"]),
    "column_twice": ("unique_id,ds,y,y\na,2024-01-01,1,1\n", ["row 1", "distinct column names", "'y' twice"]),
    "bad_date": (_csv((4, "a,2024-13-01,2.5,1")), ["row 4", "column ds", "expected a date", "'2024-13-01'"]),
    "local_date": (
        _csv((4, "a,31/01/2024,2.5,1")),
        ["row 4", "column ds", "expected a date", "'31/01/2024'"],
    ),
    "no_date": (_csv((4, "a,,2.5,1")), ["row 4", "column ds", "expected a date", "found ''"]),
    "same_time": (
        _csv((5, f"a,{_HOURS[2]},3.5,1")),
        ["row 5", "series 'a'", "column ds", "a time after 2024-01-01T02", "row 4", "the same again"],
    ),
    "unsorted": (
        _csv((5, f"a,{_HOURS[0]},3.5,1")),
        ["row 5", "series 'a'", "column ds", "a time after 2024-01-01T02", "found 2024-01-01T00"],
    ),
    "off_grid": (
        _csv((5, "a,2024-01-01T03:20,3.5,1")),
        ["row 5", "series 'a'", "column ds", "on the grid of 'h'", "found 2024-01-01T03:20"],
    ),
    "far_away": (
        _csv((13, "a,2034-01-01T00:00,3.5,1")),
        ["row 13", "series 'a'", "mostly one step of 'h' apart", "12 rows on"],
    ),
    "text": (_csv((6, "a,2024-01-01T04:00,high,1")), ["row 6", "column y", "a finite number", "'high'"]),
    "text_in_covariate": (_csv((6, "a,2024-01-01T04:00,4,on")), ["row 6", "column load", "'on'"]),
    "infinity": (_csv((6, "a,2024-01-01T04:00,inf,1")), ["row 6", "column y", "a finite number", "'inf'"]),
    "too_few_fields": (_csv((6, "a,2024-01-01T04:00")), ["row 6", "expected 4 fields", "found 2"]),
    "too_many_fields": (_csv((6, "a,2024-01-01T04:00,4,1,9")), ["comma-separated", "line 6"]),
    "no_id": (_csv((6, ",2024-01-01T04:00,4,1")), ["row 6", "column unique_id", "the series' name"]),
    "too_few_rows": (
        "unique_id,ds,y\na,2024-01-01,1\nb,2024-01-01,1\n",
        ["series 'a'", "at least 10 rows", "horizon 3", "found 1"],
    ),
    "never_observed": (
        "ds,y\n" + "".join(f"{hour},\n" for hour in _HOURS),
        ["series 'series'", "column y", "observed values", "found 0"],
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_csv_is_refused_with_its_place(case: str, tmp_path: Path) -> None:
    """Each kind of mistake names the row as an editor numbers it, the column, and both sides."""
    text, expected = BAD_FILES[case]
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_dataset(settings_for(path))
    message, at = str(caught.value), 0
    assert message.startswith(str(path))
    for part in expected:
        assert part in message[at:], f"{part!r} not in order in {message!r}"
        at = message.index(part, at) + len(part)


def test_blank_lines_do_not_shift_the_row(tmp_path: Path) -> None:
    """A mistake after a blank line is still reported at the line an editor shows."""
    path = tmp_path / "data.csv"
    path.write_text(_csv((3, f"\n\na,{_HOURS[1]},1.5,1"), (6, "a,2024-01-01T04:00,high,1")))
    with pytest.raises(DataError) as caught:
        read_dataset(settings_for(path))
    assert caught.value.row == 8


@pytest.mark.parametrize(
    ("line", "expected"), [("a,2024-01-01T04:00,,1", "a number"), ("a,2024-01-01T04:00,4,", "a number")]
)
def test_missing_value_of_a_required_feature_is_refused(line: str, expected: str, tmp_path: Path) -> None:
    """NaN in a required feature names its row."""
    path = tmp_path / "data.csv"
    path.write_text(_csv((6, line)))
    with pytest.raises(DataError, match=expected) as caught:
        read_dataset(settings_for(path, required=("y", "load")))
    assert caught.value.row == 6


def test_gap_in_time_is_refused_where_a_feature_is_required(tmp_path: Path) -> None:
    """A row left out is a missing value too."""
    path = tmp_path / "data.csv"
    path.write_text(_csv((6, "")))
    with pytest.raises(DataError, match="1 steps missing before this row") as caught:
        read_dataset(settings_for(path, required=("load",)))
    assert caught.value.row == 7


def test_unknown_required_feature_is_refused(tmp_path: Path) -> None:
    """`required` may only name columns that are there."""
    with pytest.raises(DataError, match="'wind'"):
        read_dataset(settings_for(write_csv(tmp_path / "data.csv"), required=("wind",)))


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A path that leads nowhere is named, CSV or Parquet."""
    for name in ("no.csv", "no.parquet"):
        with pytest.raises(DataError, match=f"{name}: expected a file, found none"):
            read_dataset(settings_for(tmp_path / name))


def test_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    """A CSV under a Parquet name is told apart."""
    path = write_csv(tmp_path / "data.csv").rename(tmp_path / "data.parquet")
    with pytest.raises(DataError, match="expected a Parquet file"):
        read_dataset(settings_for(path))


def test_numbers_as_times_are_refused(tmp_path: Path) -> None:
    """A Parquet file whose times are plain numbers is not guessed at."""
    path = tmp_path / "data.parquet"
    pd.DataFrame({"ds": range(20), "y": range(20)}).to_parquet(path)
    with pytest.raises(DataError, match="column ds: expected dates, found int64 numbers"):
        read_dataset(settings_for(path))
