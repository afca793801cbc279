"""Whole rows out of a file: each observation with what later rows of its series say of the steps after it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cli.observations import DataError, Observation

if TYPE_CHECKING:
    from datetime import datetime

    from statecast import Feature, Model

Floats = npt.NDArray[np.float64]


def has_more_to_say(model: "Model") -> bool:
    """Whether a row's values are not all in its own line."""
    return any(feature.role != "past" for feature in model.features)


def whole_rows(observations: Iterable[Observation], model: "Model") -> Iterator[Observation]:
    """The rows of a file as the model was trained on them, in the file's order.

    A static value stands in every row of its series from the first one on, wherever the file has it. Of
    future features a row gets the values of the steps after it, from the rows of those steps: by the times
    on the model's frequency, or without times one step a row. Rows after the last one of their series
    with any observation say what is known ahead, and are no rows themselves.

    Args:
        observations: all of a file; all are read before the first comes out.

    Raises:
        DataError: two rows of a series have different static values.
    """
    rows = list(observations)
    by_series: dict[str, list[Observation]] = {}
    for row in rows:
        by_series.setdefault(row.session_id, []).append(row)
    series = {name: _Series(members, model) for name, members in by_series.items()}
    for row in rows:
        whole = series[row.session_id].take()
        if whole is not None:
            yield whole


class _Series:
    """The rows of one series, handed out one by one."""

    def __init__(self, rows: list[Observation], model: "Model") -> None:
        self._rows, self._model, self._at = rows, model, 0
        self._values = np.array([row.values for row in rows])
        for column, feature in enumerate(model.features):
            if feature.role == "static":
                _fill(self._values[:, column], rows, feature)
        self._future = [column for column, each in enumerate(model.features) if each.role == "future"]
        self._num_rows = _num_observed(self._values, model) if self._future else len(rows)
        self._on_grid, self._steps = _steps([row.time for row in rows], model.frequency)

    def take(self) -> Observation | None:
        """The next row, whole; None where it only says what is known ahead."""
        at = self._at
        self._at += 1
        if at >= self._num_rows:
            return None
        values = self._values[at]
        if self._future:
            from statecast import with_future

            values = with_future(self._model, values[None], self._ahead(at)[None])[0]
        return replace(self._rows[at], values=values.tolist())

    def _ahead(self, at: int) -> Floats:
        """(K, C) of the steps after row `at`; NaN where no row tells."""
        horizon = self._model.horizon
        ahead = np.full((horizon, len(self._future)), np.nan)
        place = int(np.searchsorted(self._on_grid, at))
        if place == len(self._on_grid) or self._on_grid[place] != at:
            return ahead  # a late row, which changes nothing
        later = slice(place + 1, place + 1 + horizon)
        step = self._steps[later] - self._steps[place] - 1
        rows = self._on_grid[later][step < horizon]
        ahead[step[step < horizon]] = self._values[rows][:, self._future]
        return ahead


def _fill(column: Floats, rows: list[Observation], feature: "Feature") -> None:
    """Write the one value that a static column has into all of it."""
    known = np.flatnonzero(~np.isnan(column))
    if not known.size:
        return
    first = column[known[0]]
    for at in known[column[known] != first]:
        expected = f"{_shown(first, feature)}, as in line {rows[known[0]].line}: the column is static"
        raise DataError(rows[at].line, feature.name, expected, _shown(column[at], feature))
    column[:] = first


def _shown(value: float, feature: "Feature") -> str:
    return repr(feature.categories[int(value)]) if feature.categories else f"{value:g}"


def _num_observed(values: Floats, model: "Model") -> int:
    """Rows up to the last one of which something was observed, not merely known."""
    observed = [column for column, feature in enumerate(model.features) if feature.role == "past"]
    seen = np.flatnonzero(~np.isnan(values[:, observed]).all(axis=1))
    return int(seen[-1]) + 1 if seen.size else 0


def _steps(
    times: "list[datetime | None]", frequency: str
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Rows that are later than all before them, ascending, and the step of each on the series' grid."""
    from models.frequency import Frequency
    from statecast.rows import as_times_us

    if None in times or not times:
        return np.arange(len(times)), np.arange(len(times))
    us = as_times_us(times, len(times))
    assert us is not None
    newest = np.maximum.accumulate(us)
    on_grid = np.flatnonzero(np.concatenate([[True], us[1:] > newest[:-1]]))
    between = Frequency.parse(frequency).steps_between(us[on_grid[:-1]], us[on_grid[1:]])
    return on_grid, np.concatenate([[0], np.cumsum(between)])
