"""Forecasts as people look at them: what came, and the fan that was drawn before it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

# Dark grey and blue, and a dash: told apart without colour.
_OBSERVED, _FORECAST, _NAIVE = "#222222", "#0b62a4", "#8a8a8a"


@dataclass(frozen=True)
class Streamed:
    """One series and the forecasts made while it streamed.

    Attributes:
        times: (T,) datetime64[us].
        observed: (T,) float64, NaN where missing.
        start: the first row that was streamed.
        forecasts: (T - start, K, Q) float32, made after each streamed row.
        naive: (T - start, K) seasonal naive at the same origins.
        levels: Q quantile levels.
    """

    times: npt.NDArray[np.datetime64]
    observed: npt.NDArray[np.float64]
    start: int
    forecasts: npt.NDArray[np.float32]
    naive: npt.NDArray[np.float64]
    levels: tuple[float, ...]


def draw(streamed: Streamed, title: str, target: str, path: Path) -> None:
    """Write a PNG: the streamed rows, and the quantile bands forecast a horizon at a time."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(11, 5), layout="constrained")
    num_steps, horizon = len(streamed.times), streamed.forecasts.shape[1]
    first = max(2 * streamed.start - num_steps, 0)
    axes.plot(streamed.times[first:], streamed.observed[first:], color=_OBSERVED, lw=1.2, label="observed")
    axes.axvline(streamed.times[streamed.start], color=_OBSERVED, lw=0.8, ls=":")
    outer = f"{streamed.levels[0]:g} to {streamed.levels[-1]:g} quantile"
    middle = int(np.abs(np.array(streamed.levels) - 0.5).argmin())
    for origin in range(streamed.start, num_steps - horizon, horizon):
        ahead = slice(origin + 1, origin + 1 + horizon)
        fan = streamed.forecasts[origin - streamed.start]
        labels = (outer, "median", "seasonal naive") if origin == streamed.start else (None, None, None)
        for inner in range(len(streamed.levels) // 2):
            lower, upper = fan[:, inner], fan[:, -1 - inner]
            label = labels[0] if inner == 0 else None
            axes.fill_between(
                streamed.times[ahead], lower, upper, color=_FORECAST, alpha=0.22, lw=0, label=label
            )
        axes.plot(streamed.times[ahead], fan[:, middle], color=_FORECAST, lw=1.6, label=labels[1])
        naive = streamed.naive[origin - streamed.start]
        axes.plot(streamed.times[ahead], naive, color=_NAIVE, lw=1.0, ls="--", label=labels[2])
    axes.set_title(title, loc="left")
    axes.set_ylabel(target)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", frameon=False, ncols=4)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
