"""A series and the fan of its newest forecast, drawn in characters."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import plotille

Floats = npt.NDArray[np.float64]

# Apart for whoever sees no red and green; what a terminal has as its own colour is what came.
_FAN, _MEDIAN, _GHOST = "blue", "cyan", "magenta"
_LABEL_WIDTH = 11
_MOST_ROWS = 2_000


@dataclass
class Shown:
    """What is known of a series to draw it.

    Attributes:
        steps, values: of the newest rows, the step of each since the first; NaN where it was missing.
        ghosts: for each row the median that the forecast before it had for it, NaN where there was none.
        fan: (K, Q) the newest forecast, of the steps after the newest row.
        num_within, num_judged: rows within the outermost levels of the forecast before them, and all that had
            both a forecast and a value.
    """

    steps: deque[int] = field(default_factory=lambda: deque(maxlen=_MOST_ROWS))
    values: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_ROWS))
    ghosts: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_ROWS))
    fan: Floats | None = None
    num_within: int = 0
    num_judged: int = 0

    def add(self, value: float, num_missing: int, fan: Floats | None) -> None:
        """A row that the model took, after `num_missing` steps without one; and its forecast, if any."""
        ahead = self.fan[num_missing] if self.fan is not None and num_missing < len(self.fan) else None
        self.steps.append((self.steps[-1] if self.steps else -1) + 1 + num_missing)
        self.values.append(value)
        self.ghosts.append(math.nan if ahead is None else float(ahead[len(ahead) // 2]))
        if ahead is not None and not math.isnan(value):
            self.num_judged += 1
            self.num_within += bool(ahead[0] <= value <= ahead[-1])
        self.fan = fan


def fan_chart(series: Shown, width: int, height: int, *, in_colour: bool) -> str:
    """Lines of text: the newest rows as a line, after them the outermost quantiles, filled, and the median.

    Args:
        series: with a row at least.
        width, height: characters that it may take.
        in_colour: with the escapes of a terminal. Without them the fan is what comes after the upright line.
    """
    width, height = max(width - _LABEL_WIDTH - 2, 20), max(height - 1, 4)
    num_ahead = 0 if series.fan is None else len(series.fan)
    # Two dots a character, and no more than a character a step.
    num_back = min(max(2 * width - num_ahead, width // 2), len(series.steps))
    steps, values, ghosts = (
        np.array(each)[-num_back:] for each in (series.steps, series.values, series.ghosts)
    )
    lowest, highest = _limits(values, ghosts, series.fan)
    now = int(steps[-1])
    first = int(steps[0]) if len(steps) > 1 else now - 1
    canvas = plotille.Canvas(
        width, height, xmin=first, ymin=lowest, xmax=now + num_ahead + 1e-6, ymax=highest
    )
    pen = _Pen(canvas, in_colour)
    if series.fan is not None:
        pen.fan(now, float(values[-1]), series.fan)
    pen.dots(steps, ghosts, _GHOST)
    pen.line(steps, values)
    return "\n".join(_labelled(canvas.plot(linesep="\n").split("\n"), lowest, highest, first, now, num_ahead))


class _Pen:
    """Draws on a canvas, in steps and values."""

    def __init__(self, canvas: plotille.Canvas, in_colour: bool) -> None:
        self._canvas, self._in_colour = canvas, in_colour

    def fan(self, now: int, value: float, fan: Floats) -> None:
        start = np.full((1, fan.shape[1]), value) if not math.isnan(value) else fan[:1]
        whole = np.concatenate([start, fan])
        at = np.arange(len(whole)) + now
        # Filled by upright lines, of which every other dot's place stays free.
        for place in np.arange(now, now + len(fan), self._dot(4)):
            lower, upper = (float(np.interp(place, at, whole[:, column])) for column in (0, -1))
            if math.isfinite(lower + upper):
                self._canvas.line(place, lower, place, upper, color=self._colour(_FAN))
        for column, colour in ((0, _FAN), (-1, _FAN), (fan.shape[1] // 2, _MEDIAN)):
            self.line(at, whole[:, column], colour)
        if not self._in_colour:
            self._canvas.line(now, self._canvas.ymin, now, self._canvas.ymax_inside)

    def line(self, at: npt.NDArray[np.int_], values: Floats, colour: str = "") -> None:
        """Broken where a value or a step is missing."""
        for left, right in zip(range(len(at) - 1), range(1, len(at)), strict=True):
            if at[right] - at[left] == 1 and np.isfinite(values[[left, right]]).all():
                ends = float(at[left]), float(values[left]), float(at[right]), float(values[right])
                self._canvas.line(*ends, color=self._colour(colour))
        self.dots(at, values, colour)

    def dots(self, at: npt.NDArray[np.int_], values: Floats, colour: str) -> None:
        for place, value in zip(at.tolist(), values.tolist(), strict=True):
            if math.isfinite(value):
                self._canvas.point(place, value, color=self._colour(colour))

    def _dot(self, num: int) -> float:
        """Steps that so many dots stand for."""
        canvas = self._canvas
        return num * float(canvas.xmax - canvas.xmin) / (2.0 * float(canvas.width))

    def _colour(self, name: str) -> str | None:
        return name if name and self._in_colour else None


def _limits(values: Floats, ghosts: Floats, fan: Floats | None) -> tuple[float, float]:
    everything = np.concatenate([values, ghosts, np.zeros(0) if fan is None else fan.ravel()])
    finite = everything[np.isfinite(everything)]
    lowest, highest = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    room = (highest - lowest) * 0.03 or abs(highest) * 0.01 or 1.0
    return lowest - room, highest + room


def _labelled(
    rows: Sequence[str], lowest: float, highest: float, first: int, now: int, num_ahead: int
) -> list[str]:
    """Values at the left, steps below, which count from the newest row."""
    labels = {0: highest, len(rows) // 2: (lowest + highest) / 2, len(rows) - 1: lowest}
    lines = [
        f"{f'{labels[at]:.5g}' if at in labels else '':>{_LABEL_WIDTH}} ┤{row}" for at, row in enumerate(rows)
    ]
    below = f"steps from the newest row: {first - now} .. +{num_ahead}"
    return [*lines, f"{'':>{_LABEL_WIDTH}}  {below}"]
