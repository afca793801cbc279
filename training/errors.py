"""What can be wrong with a file of series."""

from pathlib import Path


class DataError(ValueError):
    """A file that cannot be trained on as it is.

    Attributes:
        path: the file.
        expected, found: what should stand there, and what does.
        row: the line, as an editor numbers it (a CSV's header is line 1; Parquet rows count from 1), if any.
        column: the column's name, if any.
        series: the series' id, if any.
    """

    def __init__(
        self,
        path: Path,
        *,
        expected: str,
        found: str,
        row: int | None = None,
        column: str | None = None,
        series: str | None = None,
    ) -> None:
        self.path = path
        self.expected = expected
        self.found = found
        self.row = row
        self.column = column
        self.series = series
        place = [str(path)]
        if row is not None:
            place.append(f"row {row}")
        if series is not None:
            place.append(f"series {series!r}")
        if column is not None:
            place.append(f"column {column}")
        super().__init__(f"{', '.join(place)}: expected {expected}, found {found}")
