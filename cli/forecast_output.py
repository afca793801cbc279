"""Forecasts on standard output, each as soon as it is there."""

import json
import math
import sys
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, JustifyMethod
from rich.table import Table

if TYPE_CHECKING:
    import numpy as np

    from cli.observations import Observation
    from statecast import ForecastResult, Model


class Output(Protocol):
    """Where forecasts go."""

    def show(self, observation: "Observation", result: "ForecastResult") -> None:
        """What became of a row: each forecast of the result is shown."""

    def close(self) -> None:
        """No row comes any more."""


class JsonLines:
    """One object a line: session, position, time, and an array of steps for each quantile level or label."""

    def show(self, observation: "Observation", result: "ForecastResult") -> None:
        """See `Output`."""
        time = observation.time
        for forecast in result.forecasts:
            names = forecast.labels or [f"{level:g}" for level in forecast.quantile_levels]
            columns = zip(names, forecast.values.T, strict=True)
            line = {
                "session": observation.session_id,
                "position": forecast.position,
                "time": None if time is None else time.isoformat(),
                "num_late": result.num_late,
                "num_missing_steps": result.num_missing_steps,
                **_scores(result),
                "probabilities" if forecast.labels else "quantiles": {
                    name: [_number(value) for value in steps] for name, steps in columns
                },
            }
            print(json.dumps(line), flush=True)

    def close(self) -> None:
        """Each line is out already."""


class Lines:
    """A table that grows by a line a forecast; it shows the next step's quantiles, or its likeliest label."""

    def __init__(self, model: "Model", *, anomalies: bool = False) -> None:
        columns = [("session", 16), ("position", 8), ("time", 25)]
        levels = [(f"next q{level:g}", 11) for level in model.quantile_levels]
        self._columns = columns + (levels or [("likeliest", 16), ("probability", 11)])
        self._has_anomalies = anomalies
        if anomalies:
            self._columns += [("at quantile", 11), ("tail", 11)]
        # As wide as the columns are, whatever the terminal: they are not to be squeezed.
        self._console = Console(file=sys.stdout, width=sum(width + 2 for _, width in self._columns))
        self._is_first = True

    def show(self, observation: "Observation", result: "ForecastResult") -> None:
        """See `Output`."""
        time = observation.time
        for forecast in result.forecasts:
            table = self._table()
            numbers = [f"{value:.6g}" for value in forecast.values[0]]
            if forecast.labels:
                numbers = [forecast.label, f"{forecast.values[0].max():.4f}"]
            if self._has_anomalies:
                numbers += [f"{score:.4g}" for score in _last_scores(result)]
            when = "" if time is None else time.isoformat(sep=" ")
            table.add_row(observation.session_id, str(forecast.position), when, *numbers)
            self._console.print(table, soft_wrap=True)

    def close(self) -> None:
        """Each line is out already."""

    def _table(self) -> Table:
        # A table of its own for each line, its columns of fixed width: a pipe may bring the next line much
        # later.
        table = Table(box=None, show_header=self._is_first, padding=(0, 2, 0, 0), header_style="bold")
        for name, width in self._columns:
            justify: JustifyMethod = "left" if name in ("session", "time") else "right"
            table.add_column(name, width=width, justify=justify, no_wrap=True)
        self._is_first = False
        return table


def _last_scores(result: "ForecastResult") -> list[float]:
    """Those of the newest row; a row that was not applied has none."""
    return [float(score) for score in result.anomalies[-1]] if len(result.anomalies) else [math.nan] * 2


def _scores(result: "ForecastResult") -> dict[str, float | None]:
    if not len(result.anomalies):
        return {}
    position, tail = result.anomalies[-1]
    return {"quantile_position": _number(position), "tail_probability": _number(tail)}


def _number(value: "np.float32") -> float | None:
    # JSON has no NaN; and 4.1 as float32 is 4.1, not the 4.099999904632568 it would be as float64.
    return float(str(value)) if math.isfinite(value) else None
