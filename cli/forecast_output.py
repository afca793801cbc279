"""Forecasts on standard output, each as soon as it is there."""

import json
import math
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from statecast import ForecastResult, Model


class Output(Protocol):
    """Where forecasts go."""

    def show(self, session_id: str, time: datetime | None, result: "ForecastResult") -> None:
        """One line for each forecast of the result."""


class JsonLines:
    """One object a line: session, position, time, and an array of steps for each quantile level."""

    def show(self, session_id: str, time: datetime | None, result: "ForecastResult") -> None:
        """See `Output`."""
        for forecast in result.forecasts:
            columns = zip(forecast.quantile_levels, forecast.values.T.tolist(), strict=True)
            line = {
                "session": session_id,
                "position": forecast.position,
                "time": None if time is None else time.isoformat(),
                "num_late": result.num_late,
                "num_missing_steps": result.num_missing_steps,
                "quantiles": {f"{level:g}": [_finite(value) for value in steps] for level, steps in columns},
            }
            print(json.dumps(line), flush=True)


class Lines:
    """A table that grows by a line a forecast; it shows the next step's quantiles."""

    def __init__(self, model: "Model") -> None:
        self._levels = model.quantile_levels
        self._console = Console(file=sys.stdout)
        self._is_first = True

    def show(self, session_id: str, time: datetime | None, result: "ForecastResult") -> None:
        """See `Output`."""
        for forecast in result.forecasts:
            table = self._table()
            numbers = [f"{value:.6g}" for value in forecast.values[0]]
            when = "" if time is None else time.isoformat(sep=" ")
            table.add_row(session_id, str(forecast.position), when, *numbers)
            self._console.print(table, soft_wrap=True)

    def _table(self) -> Table:
        # A table of its own for each line, its columns of fixed width: a pipe may bring the next line much
        # later.
        table = Table(box=None, show_header=self._is_first, pad_edge=False, header_style="bold")
        table.add_column("session", width=16, no_wrap=True)
        table.add_column("position", width=8, justify="right")
        table.add_column("time", width=25, no_wrap=True)
        for level in self._levels:
            table.add_column(f"next q{level:g}", width=11, justify="right", no_wrap=True)
        self._is_first = False
        return table


def _finite(value: float) -> float | None:
    # JSON has no NaN.
    return value if math.isfinite(value) else None
