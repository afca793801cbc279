"""Forecasts as a picture in the terminal, which moves with each row."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from cli.fan_chart import Shown, fan_chart

if TYPE_CHECKING:
    from cli.observations import Observation
    from statecast import ForecastResult, Model

_HEIGHT = 18
_PIPE_WIDTH = 100
# Faster rows are all in the line, and not each in a picture of its own.
_FRAMES_PER_S = 15
# Away from a terminal each series has a picture at the end.
_MOST_PICTURES = 8


class Plot:
    """The series of the newest row and its forecast.

    On a terminal it is drawn while rows come, some times a second at most, and stays when they end; away
    from one every series is drawn once, at the end and without colours.
    """

    def __init__(self, model: "Model") -> None:
        self._model = model
        self._shown: dict[str, Shown] = {}
        self._newest: tuple[str, Shown] | None = None
        self._times: dict[str, str] = {}
        self._console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
        self._live: Live | None = None

    def show(self, observation: "Observation", result: "ForecastResult") -> None:
        """See `forecast_output.Output`."""
        if result.num_late or result.num_skipped:
            return
        name = observation.session_id
        shown = self._shown.setdefault(name, Shown())
        fan = result.forecasts[-1].values.astype(np.float64) if result.forecasts else None
        shown.add(observation.values[0], result.num_missing_steps, fan)
        self._times[name] = "" if observation.time is None else f"{observation.time:%Y-%m-%d %H:%M:%S}"
        self._newest = name, shown
        if self._live is None and self._console.is_terminal:
            # plotille colours nothing while standard output is rich's stand-in for it.
            self._live = Live(
                get_renderable=self._picture,
                console=self._console,
                refresh_per_second=_FRAMES_PER_S,
                redirect_stdout=False,
            )
            self._live.start()

    def close(self) -> None:
        """The last picture."""
        if self._live is not None:
            self._live.stop()
            return
        for name, shown in list(self._shown.items())[:_MOST_PICTURES]:
            self._console.print(self._of(name, shown))
        if len(self._shown) > _MOST_PICTURES:
            self._console.print(f"and {len(self._shown) - _MOST_PICTURES} more series, which are not drawn")

    def _picture(self) -> RenderableType:
        return self._of(*self._newest) if self._newest else Text()

    def _of(self, name: str, shown: Shown) -> RenderableType:
        is_live = self._console.is_terminal
        height = min(_HEIGHT, self._console.height - 3) if is_live else _HEIGHT
        chart = fan_chart(
            shown, self._console.width, height, in_colour=is_live and not self._console.no_color
        )
        return Group(
            Text(self._title(name, shown), style="bold"), Text.from_ansi(chart), Text(self._held(shown))
        )

    def _title(self, name: str, shown: Shown) -> str:
        feature = self._model.features[0].name
        others = f", one of {len(self._shown)} series" if len(self._shown) > 1 else ""
        value = "missing" if np.isnan(shown.values[-1]) else f"{shown.values[-1]:.6g}"
        return f"{name}, {feature} {value} {self._times[name]}{others}".replace("  ", " ").rstrip()

    def _held(self, shown: Shown) -> str:
        lower, *_, upper = self._model.quantile_levels
        if not shown.num_judged:
            return f"the band is {lower:g} to {upper:g}, the line in it the median"
        share = shown.num_within / shown.num_judged
        return (
            f"the band {lower:g} to {upper:g} one step ahead held {share:.0%} of {shown.num_judged} rows, "
            f"and should hold {upper - lower:.0%}"
        )


def check_drawable(model: "Model", others: Sequence[str]) -> None:
    """Whether there is a fan to draw, and nothing else that wants the screen.

    Args:
        others: options that were given and do not go with it.

    Raises:
        ValueError: says what to leave out.
    """
    if others:
        raise ValueError(f"--plot: expected no {others[0]} beside it; leave one of them out")
    if not model.quantile_levels:
        raise ValueError(f"--plot: expected a model of quantities, and {model.name} has labels; leave it out")
