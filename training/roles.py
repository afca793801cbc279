"""What the columns of a file are: observed with each row, known ahead, or the same for a whole series."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.manifest import Role
from training.errors import DataError
from training.settings import TrainSettings
from training.table import Table


def roles_of(table: Table, settings: TrainSettings) -> tuple[Role, ...]:
    """Of each feature of the file.

    Raises:
        DataError: an option names a column that the file lacks.
    """
    for option, names in (("future", settings.future), ("static", settings.static)):
        for name in names:
            if name not in table.features:
                expected, found = f"a column {name!r}, as it is {option}", ", ".join(table.features)
                raise DataError(table.path, expected=expected, found=found)
    roles: dict[str, Role] = {**dict.fromkeys(settings.future, "future")}
    roles |= dict.fromkeys(settings.static, "static")
    return tuple(roles.get(name, "past") for name in table.features)


def with_static(
    table: Table,
    name: str,
    rows: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    roles: Sequence[Role],
) -> npt.NDArray[np.float64]:
    """A copy of one series' values (N, F) in which every row has what any row says of the whole series.

    Raises:
        DataError: two rows of the series say different things.
    """
    filled = values.copy()
    for column, role in enumerate(roles):
        known = np.flatnonzero(~np.isnan(values[:, column]))
        if role != "static" or not known.size:
            continue
        first = values[known[0], column]
        other = known[values[known, column] != first]
        if other.size:
            raise DataError(
                table.path,
                row=int(rows[other[0]]),
                series=name,
                column=table.features[column],
                expected=f"{_shown(table, column, first)} in all rows of the series, as the column is static",
                found=_shown(table, column, values[other[0], column]),
            )
        filled[:, column] = first
    return filled


def num_seen(grid: npt.NDArray[np.float64], roles: Sequence[Role]) -> int:
    """Steps of (T, F) up to the last with an observation; those after it only say what is known ahead.

    Without a future feature, or without any observation, all of them.
    """
    if "future" not in roles:
        return len(grid)
    observed = [column for column, role in enumerate(roles) if role == "past"]
    seen = np.flatnonzero(~np.isnan(grid[:, observed]).all(axis=1))
    return int(seen[-1]) + 1 if seen.size else len(grid)


def _shown(table: Table, column: int, value: float) -> str:
    categories = table.categories[column]
    return repr(categories[int(value)]) if categories else f"{value:g}"
