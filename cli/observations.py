"""Observations out of a CSV file or a pipe, one as soon as its line is there."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

SERIES_COLUMN = "unique_id"
TIME_COLUMN = "ds"


class DataError(ValueError):
    """A line that is not an observation."""

    def __init__(self, line: int, field: str, expected: str, found: str) -> None:
        self.line, self.field, self.expected, self.found = line, field, expected, found
        super().__init__(f"line {line}, {field}: expected {expected}, found {found}")


@dataclass(frozen=True)
class Observation:
    """One row of one series; `time` is UTC where it named a zone."""

    line: int
    session_id: str
    time: datetime | None
    values: list[float]


@dataclass(frozen=True)
class _Layout:
    """Where a file's columns are."""

    width: int
    series: int | None
    time: int | None
    features: list[int]
    # Of each feature, what is sent for a category; empty for a number.
    indices: Sequence[Mapping[str, int]]


def read(
    lines: Iterable[str], features: Sequence[str], session_id: str, indices: Sequence[Mapping[str, int]] = ()
) -> Iterator[Observation]:
    """Observations in the order of the lines; blank lines are passed over.

    Args:
        lines: a header and rows in the long layout: `unique_id` and `ds` where there are any, and a column
            named as each feature, in any order, others ignored. Or, for a model of one feature, bare numbers.
        features: the model's, in order.
        session_id: the series of rows that have no `unique_id`.
        indices: of each feature, what is sent for each of its categories; empty for a number.

    Raises:
        DataError: names the line, the column, what was expected and found. An empty cell is a missing value.
    """
    rows = _rows(lines)
    first = next(rows, None)
    if first is None:
        raise DataError(1, "header", _expected(features), "nothing")
    number, cells = first
    indices = indices or [{}] * len(features)
    if len(features) == 1 and len(cells) == 1 and (_is_number(cells[0]) or cells[0] in indices[0]):
        layout, header = _Layout(1, None, None, [0], indices), ["value"]
        yield _observation(number, cells, layout, header, session_id)
    else:
        header = [cell.strip() for cell in cells]
        layout = _layout(number, header, features, indices)
    for number, cells in rows:
        yield _observation(number, cells, layout, header, session_id)


def _rows(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(reader.line_num, "row", "comma-separated cells", str(error)) from None
        except UnicodeDecodeError as error:
            raise DataError(reader.line_num + 1, "row", "UTF-8", str(error)) from None
        if any(cell.strip() for cell in cells):
            yield reader.line_num, cells


def _layout(
    line: int, header: list[str], features: Sequence[str], indices: Sequence[Mapping[str, int]]
) -> _Layout:
    for name in header:
        if header.count(name) > 1 and name in (*features, SERIES_COLUMN, TIME_COLUMN):
            raise DataError(line, "header", "each column once", f"{name!r} {header.count(name)} times")
    missing = [name for name in features if name not in header]
    if missing:
        found = f"no column {', '.join(map(repr, missing))} in {', '.join(header)}"
        raise DataError(line, "header", _expected(features), found)
    series, time = (header.index(name) if name in header else None for name in (SERIES_COLUMN, TIME_COLUMN))
    return _Layout(len(header), series, time, [header.index(name) for name in features], indices)


def _expected(features: Sequence[str]) -> str:
    columns = f"columns {', '.join(features)} (and {SERIES_COLUMN}, {TIME_COLUMN})"
    return f"{columns}, or bare numbers" if len(features) == 1 else columns


def _observation(
    line: int, cells: list[str], layout: _Layout, header: list[str], session_id: str
) -> Observation:
    if len(cells) != layout.width:
        raise DataError(line, "row", f"{layout.width} cells", str(len(cells)))
    if layout.series is not None:
        session_id = cells[layout.series].strip()
        if not session_id:
            raise DataError(line, SERIES_COLUMN, "a name", "an empty cell")
    time = None if layout.time is None else _time(line, cells[layout.time].strip())
    values = [
        _value(line, header[column], cells[column].strip(), index)
        for column, index in zip(layout.features, layout.indices, strict=True)
    ]
    return Observation(line, session_id, time, values)


def _time(line: int, text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        expected = "a date or time such as 2024-05-01 or 2024-05-01T13:00:00Z"
        raise DataError(line, TIME_COLUMN, expected, repr(text)) from None
    return time.astimezone(UTC) if time.tzinfo else time


def _value(line: int, column: str, text: str, index: Mapping[str, int]) -> float:
    if not text or not index:
        return _number(line, column, text)
    if text not in index:
        raise DataError(line, column, f"one of {', '.join(index)}, or an empty cell", repr(text))
    return float(index[text])


def _number(line: int, column: str, text: str) -> float:
    if not text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise DataError(line, column, "a number or an empty cell", repr(text)) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
