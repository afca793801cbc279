"""Read a CSV or Parquet file into typed columns, and say where it is wrong."""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.errors import DataError

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
_ONE_SERIES = "series"


@dataclass(frozen=True)
class Table:
    """A file's rows, N of them.

    Attributes:
        path: the file.
        rows: (N,) int64, each row's number as an editor shows it.
        ids: (N,) the series' names.
        times: (N,) datetime64[us], UTC.
        features: the columns of `values`; the target first, then the covariates in the file's order.
        values: (N, F) float64, NaN where missing; of a categorical column, indices of its categories.
        categories: of each feature, sorted; empty for a number.
    """

    path: Path
    rows: npt.NDArray[np.int64]
    ids: npt.NDArray[np.object_]
    times: npt.NDArray[np.datetime64]
    features: tuple[str, ...]
    values: npt.NDArray[np.float64]
    categories: tuple[tuple[str, ...], ...]


def read_table(
    path: Path, *, id_column: str, time_column: str, target: str, categorical: Collection[str] = ()
) -> Table:
    """Read `path`; without `id_column` the whole file is one series. `categorical` columns hold words.

    Raises:
        DataError: names the row and the column, what was expected and what was found.
    """
    frame = _read_parquet(path) if path.suffix == ".parquet" else read_csv(path)
    check_columns(path, frame.columns, (time_column, target, *categorical))
    if frame.empty:
        raise DataError(path, expected="at least one row", found="none")
    words = {name: categories_of(frame[name]) for name in frame.columns if name in categorical}
    return table_of(path, frame, id_column=id_column, time_column=time_column, target=target, words=words)


def table_of(
    path: Path,
    frame: pd.DataFrame,
    *,
    id_column: str,
    time_column: str,
    target: str,
    words: Mapping[str, tuple[str, ...]],
) -> Table:
    """Rows of a file, indexed by the rows' numbers; `words` are the categories of the columns that have some.

    Raises:
        DataError: names the row and the column, what was expected and what was found.
    """
    features = (target, *(c for c in frame.columns if c not in (id_column, time_column, target)))
    return Table(
        path=path,
        rows=frame.index.to_numpy(dtype=np.int64),
        ids=_ids(path, frame, id_column),
        times=_times(path, frame[time_column]),
        features=features,
        values=np.column_stack(
            [
                indices_of(frame[name], words[name]) if name in words else _numbers(path, frame[name])
                for name in features
            ]
        ),
        categories=tuple(words.get(name, ()) for name in features),
    )


def check_columns(path: Path, found: Collection[str], needed: Collection[str]) -> None:
    """Raises:
    DataError: names a column that is needed and not there.
    """
    for column in needed:
        if column not in found:
            raise DataError(path, expected=f"a column {column!r}", found=f"columns {', '.join(found)}")


def symbols(column: "pd.Series[str]") -> tuple[tuple[str, ...], npt.NDArray[np.float64]]:
    """The categories that occur in a column, sorted, and each row's index among them; NaN where missing."""
    categories = categories_of(column)
    return categories, indices_of(column, categories)


def categories_of(column: "pd.Series[str]") -> tuple[str, ...]:
    """The words that occur in a column, sorted."""
    text = [str(value).strip() for value in column]
    present = [word for word, known in zip(text, column.notna(), strict=True) if known and not _missing(word)]
    return tuple(sorted(set(present)))


def indices_of(column: "pd.Series[str]", categories: Sequence[str]) -> npt.NDArray[np.float64]:
    """Each row's index among the categories; NaN where it is none of them."""
    place = {category: float(index) for index, category in enumerate(categories)}
    return np.array([place.get(str(value).strip(), np.nan) for value in column])


def _missing(word: str) -> bool:
    return word.lower() in _MISSING


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise DataError(path, expected="a file", found="none of that name") from error
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise DataError(path, expected="a Parquet file", found=str(error)) from error
    frame = frame.reset_index() if frame.index.name is not None else frame
    frame.columns = frame.columns.map(str)
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    return frame


def read_csv(path: Path) -> pd.DataFrame:
    """Every cell as text, so that a wrong one can be quoted as it stands; the index is the line number."""
    _check_header(path)
    try:
        frame = pd.read_csv(
            path,
            dtype=str,
            keep_default_na=False,
            na_values=[],
            skip_blank_lines=False,
            encoding="utf-8-sig",
            index_col=False,
            skipinitialspace=True,
        )
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise DataError(path, expected="comma-separated UTF-8 text", found=str(error).strip()) from error
    frame.columns = frame.columns.str.strip()
    frame.index = pd.RangeIndex(2, len(frame) + 2)
    frame = frame.fillna("")
    frame = frame[~(frame == "").all(axis=1)]  # blank lines
    if (frame.iloc[:, -1] == "").any():
        _check_num_fields(path, len(frame.columns))
    return frame


def _check_num_fields(path: Path, expected: int) -> None:
    """Tell a line that ends early from one whose last cells are empty: pandas reads both alike."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        for fields in reader:
            if "".join(fields).strip() and len(fields) < expected:
                raise DataError(
                    path, row=reader.line_num, expected=f"{expected} fields", found=str(len(fields))
                )


def _check_header(path: Path) -> None:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = [name.strip() for name in next(csv.reader(file), [])]
    except FileNotFoundError as error:
        raise DataError(path, expected="a file", found="none of that name") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(path, expected="comma-separated UTF-8 text", found=str(error)) from error
    if not header:
        raise DataError(path, row=1, expected="a header such as unique_id,ds,y", found="an empty file")
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated or "" in header:
        found = f"{repeated[0]!r} twice" if repeated else "one without a name"
        raise DataError(path, row=1, expected="distinct column names", found=found)


def _ids(path: Path, frame: pd.DataFrame, id_column: str) -> npt.NDArray[np.object_]:
    if id_column not in frame.columns:
        return np.full(len(frame), _ONE_SERIES, dtype=object)
    ids = frame[id_column]
    empty = (ids.isna() | (ids.astype(str).str.strip() == "")).to_numpy()
    if empty.any():
        row = int(frame.index[empty][0])
        raise DataError(path, row=row, column=id_column, expected="the series' name", found="nothing")
    return ids.astype(str).to_numpy(dtype=object)


def _times(path: Path, column: "pd.Series[str]") -> npt.NDArray[np.datetime64]:
    """UTC; a time without an offset is taken for UTC."""
    if pd.api.types.is_numeric_dtype(column):
        raise DataError(path, column=str(column.name), expected="dates", found=f"{column.dtype} numbers")
    parsed = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
    wrong = parsed.isna().to_numpy()
    if wrong.any():
        row = int(column.index[wrong][0])
        raise DataError(
            path,
            row=row,
            column=str(column.name),
            expected="a date such as 2024-01-31 or 2024-01-31T13:00",
            found=repr(column.loc[row]),
        )
    return parsed.dt.tz_localize(None).to_numpy().astype("datetime64[us]")


def _numbers(path: Path, column: "pd.Series[str]") -> npt.NDArray[np.float64]:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.isinf(numbers)
    # A cell that is no number is either a word for "missing" or a mistake.
    unread = np.flatnonzero(np.isnan(numbers) & column.notna().to_numpy())
    for at in unread:
        wrong[at] = str(column.iloc[at]).strip().lower() not in _MISSING
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(
            path,
            row=int(column.index[first]),
            column=str(column.name),
            expected="a finite number, or nothing where it is missing",
            found=repr(column.iloc[first]),
        )
    return numbers
