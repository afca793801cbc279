"""Series on their regular grid: what training and the backtest work on."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import numpy.typing as npt

from models.frequency import Frequency
from models.manifest import Role, TrainingSummary
from training.errors import DataError
from training.lengths import TooShort, long_enough
from training.roles import num_seen, roles_of, with_static
from training.settings import TrainSettings
from training.table import Table, read_table

# Rows before a series is forecast in training: the scale is the mean of the changes seen so far.
WARM_UP = 4
# A grid much longer than its rows is a wrong frequency or a mistyped year, not a series with gaps.
_LONGEST_GRID = 20
_GRID_ALLOWANCE = 1_000


@dataclass(frozen=True)
class SeriesData:
    """One series on its grid; T steps, F features.

    Attributes:
        id: its name.
        times: (T,) datetime64[us], UTC, one step of the frequency apart.
        values: (T, F) float64, raw units, target first; NaN where missing, gaps in time included.
        validation_start: index of the first step that training may not see.
        labelled: (T,) float64, the target where it is none of the features.
        ahead: (A, F) float64, the steps after the last: of future features what is known of them.
    """

    id: str
    times: npt.NDArray[np.datetime64]
    values: npt.NDArray[np.float64]
    validation_start: int
    labelled: npt.NDArray[np.float64] | None = None
    ahead: npt.NDArray[np.float64] | None = None

    @property
    def target(self) -> npt.NDArray[np.float64]:
        """(T,) the target; of a classifier, indices of its labels."""
        return self.values[:, 0] if self.labelled is None else self.labelled


@dataclass(frozen=True)
class Dataset:
    """Every series of a file, in the file's order, and the features' names.

    Attributes:
        categories: of each feature; empty for a number.
        labels: of the target, where it is one of several.
        roles: of each feature; empty where all are past ones.
    """

    features: tuple[str, ...]
    series: tuple[SeriesData, ...]
    categories: tuple[tuple[str, ...], ...] = ()
    labels: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ()

    @property
    def num_categories(self) -> tuple[int, ...]:
        """Of each feature, 0 for a number."""
        return tuple(map(len, self.categories))

    @property
    def future(self) -> tuple[int, ...]:
        """Indices of the features that are known ahead."""
        return tuple(index for index, role in enumerate(self.roles) if role == "future")

    @property
    def static(self) -> tuple[int, ...]:
        """Indices of the features that are the same for a whole series."""
        return tuple(index for index, role in enumerate(self.roles) if role == "static")


def read_dataset(settings: TrainSettings, *, check_lengths: bool = True) -> Dataset:
    """Read `settings.data` and set each series on the grid of `settings.freq`.

    Args:
        check_lengths: leave out series that are too short to be trained on; a warning names them.

    Raises:
        DataError: names the row, the column or the series, what was expected and what was found.
    """
    table = read_table(settings.data, **names_of(settings), categorical=categorical_of(settings))
    check_required(table, settings)
    roles = roles_of(table, settings)
    made = partial(series_of, table, roles=roles, settings=settings, check_lengths=check_lengths)
    makers = (partial(made, name, members) for name, members in _by_series(table.ids))
    series = long_enough(settings.data, makers)
    return Dataset(table.features, tuple(series), table.categories, roles=roles)


def names_of(settings: TrainSettings) -> dict[str, str]:
    """The columns that a table is told of, by the names of its parameters."""
    return {
        "id_column": settings.id_column,
        "time_column": settings.time_column,
        "target": settings.target,
    }


def categorical_of(settings: TrainSettings) -> frozenset[str]:
    """The columns that hold words."""
    labels = () if settings.task == "regression" else (settings.target,)
    return frozenset((*settings.categorical, *labels))


def check_required(table: Table, settings: TrainSettings) -> None:
    """Raises:
    DataError: a required feature is no column.
    """
    for name in settings.required:
        if name not in table.features:
            raise DataError(
                table.path, expected=f"a column {name!r}, as it is required", found=", ".join(table.features)
            )


def validation_start(num_steps: int, horizon: int, fraction: float) -> int:
    """First validation step: the last `fraction` of the series, and at least one whole horizon."""
    return num_steps - max(horizon, round(num_steps * fraction))


def fewest_steps(horizon: int, fraction: float) -> int:
    """Steps a series needs: the warm-up and a horizon to train on, and its validation part."""
    trained = WARM_UP + horizon
    return max(trained + horizon, math.ceil(trained / (1 - fraction)))


def summary(series: Sequence[SeriesData]) -> TrainingSummary:
    """What the manifest tells of the data."""
    return TrainingSummary(
        num_series=len(series),
        num_rows=sum(len(one.times) for one in series),
        num_missing=sum(int(np.isnan(one.target).sum()) for one in series),
        first_time=_utc(min(one.times[0] for one in series)),
        last_time=_utc(max(one.times[-1] for one in series)),
    )


def _utc(time: np.datetime64) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(time.astype(np.int64)))


def _by_series(ids: npt.NDArray[np.object_]) -> Iterable[tuple[str, npt.NDArray[np.intp]]]:
    names, first, member = np.unique(ids.astype(str), return_index=True, return_inverse=True)
    order = np.argsort(member, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(member))[:-1])
    for group in np.argsort(first):
        yield str(names[group]), groups[group]


def series_of(
    table: Table,
    name: str,
    members: npt.NDArray[np.intp],
    roles: tuple[Role, ...],
    settings: TrainSettings,
    *,
    check_lengths: bool = True,
) -> SeriesData:
    """The series `name`, rows `members` of the table, on its grid.

    Raises:
        TooShort: with `check_lengths`, too few rows or values.
        DataError: names the row and the column, what was expected and what was found.
    """
    rows, times, frequency = table.rows[members], table.times[members], Frequency.parse(settings.freq)
    _check_order(table, name, rows, times, settings.time_column)
    steps = _steps_on_grid(table, name, rows, times, frequency, settings)
    values = with_static(table, name, rows, table.values[members], roles)
    index = np.concatenate([[0], np.cumsum(steps)])
    grid = np.full((index[-1] + 1, values.shape[1]), np.nan)
    grid[index] = values
    num_steps = num_seen(grid, roles)
    num_rows = int(np.searchsorted(index, num_steps))
    required = [table.features.index(feature) for feature in settings.required]
    _check_required(table, name, rows[:num_rows], values[:num_rows], steps[: num_rows - 1], required)
    seen = grid[:num_steps]
    if check_lengths and settings.predicts != "series":
        _check_length(table, name, seen, settings)
    return SeriesData(
        id=name,
        times=_grid_times(times, steps, frequency)[:num_steps],
        values=seen,
        validation_start=max(validation_start(num_steps, settings.horizon, settings.validation_fraction), 0),
        ahead=grid[num_steps:] if num_steps < len(grid) else None,
    )


def _check_order(
    table: Table,
    name: str,
    rows: npt.NDArray[np.int64],
    times: npt.NDArray[np.datetime64],
    time_column: str,
) -> None:
    wrong = np.flatnonzero(times[1:] <= times[:-1])
    if wrong.size:
        at = int(wrong[0])
        same = "the same again" if times[at + 1] == times[at] else f"{times[at + 1]}"
        raise DataError(
            table.path,
            row=int(rows[at + 1]),
            series=name,
            column=time_column,
            expected=f"a time after {times[at]} (row {rows[at]})",
            found=same,
        )


def _steps_on_grid(
    table: Table,
    name: str,
    rows: npt.NDArray[np.int64],
    times: npt.NDArray[np.datetime64],
    frequency: Frequency,
    settings: TrainSettings,
) -> npt.NDArray[np.int64]:
    """Steps from each row to the next, (N - 1,); every row must lie on the grid of the row before it."""
    us = times.astype(np.int64)
    steps = frequency.steps_between(us[:-1], us[1:])
    for at, step in enumerate(steps):
        due = frequency.step_forward(int(us[at]), int(step))
        if due != us[at + 1]:
            raise DataError(
                table.path,
                row=int(rows[at + 1]),
                series=name,
                column=settings.time_column,
                expected=f"a time on the grid of {settings.freq!r} from {times[at]}, "
                f"such as {np.datetime64(due, 'us')}",
                found=str(times[at + 1]),
            )
    if steps.sum() > _LONGEST_GRID * len(times) + _GRID_ALLOWANCE:
        widest = int(steps.argmax())
        raise DataError(
            table.path,
            row=int(rows[widest + 1]),
            series=name,
            column=settings.time_column,
            expected=f"rows mostly one step of {settings.freq!r} apart",
            found=f"{len(times)} rows on {steps.sum() + 1} steps, {steps[widest]} of them before this row",
        )
    return steps


def _check_required(
    table: Table,
    name: str,
    rows: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    steps: npt.NDArray[np.int64],
    required: list[int],
) -> None:
    for feature in required:
        column = table.features[feature]
        missing = np.flatnonzero(np.isnan(values[:, feature]))
        if missing.size:
            row = int(rows[missing[0]])
            raise DataError(
                table.path,
                row=row,
                series=name,
                column=column,
                expected="a number, as the feature is required",
                found="none",
            )
        gaps = np.flatnonzero(steps > 1)
        if gaps.size:
            raise DataError(
                table.path,
                row=int(rows[gaps[0] + 1]),
                series=name,
                column=column,
                expected="a row each step, as the feature is required",
                found=f"{steps[gaps[0]] - 1} steps missing before this row",
            )


def _check_length(table: Table, name: str, grid: npt.NDArray[np.float64], settings: TrainSettings) -> None:
    horizon, fraction = settings.horizon, settings.validation_fraction
    needed = fewest_steps(horizon, fraction)
    if len(grid) < needed:
        raise TooShort(
            table.path,
            series=name,
            expected=f"at least {needed} rows to train (horizon {horizon}, validation_fraction {fraction})",
            found=str(len(grid)),
        )
    observed = int((~np.isnan(grid[: validation_start(len(grid), horizon, fraction), 0])).sum())
    if observed < WARM_UP:
        raise TooShort(
            table.path,
            series=name,
            column=settings.target,
            expected=f"at least {WARM_UP} observed values before the validation part",
            found=str(observed),
        )


def _grid_times(
    times: npt.NDArray[np.datetime64], steps: npt.NDArray[np.int64], frequency: Frequency
) -> npt.NDArray[np.datetime64]:
    """The rows' times and those of the gaps between them."""
    us = times.astype(np.int64)
    grid = [int(us[0])]
    for at, num in enumerate(steps):
        grid += [frequency.step_forward(int(us[at]), step) for step in range(1, int(num))]
        grid.append(int(us[at + 1]))
    return np.array(grid, dtype="datetime64[us]")
