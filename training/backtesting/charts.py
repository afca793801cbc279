"""What a backtest looks like, drawn on axes: for the page and for the picture alike."""

from collections.abc import Callable
from typing import Any

import numpy as np

from training.backtesting.fans import Fan
from training.backtesting.result import Backtest
from training.titles import title_of

# Blue and orange stay apart for every kind of colour-blindness (Okabe & Ito 2008); dashes and marks besides.
INK, MUTED, GRID, BAND, CAME = "#1b1b1b", "#6f6f6f", "#d9d9d9", "#0072b2", "#d55e00"
_DASHES = ("--", ":", "-.", (0, (1, 3)), (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 4)))


def draw_fan(axes: Any, fan: Fan, levels: tuple[float, ...]) -> None:
    """Bands from the outermost levels inwards, the median, seasonal naive, and what was and what came."""
    num_levels = len(levels)
    for inner in range(num_levels // 2):
        lower, upper = fan.quantiles[:, inner], fan.quantiles[:, num_levels - 1 - inner]
        label = f"{levels[inner]:g} to {levels[-1 - inner]:g}" if inner == 0 else None
        alpha = 0.18 if num_levels > 5 else 0.28
        axes.fill_between(fan.times, lower, upper, color=BAND, alpha=alpha, lw=0, label=label)
    middle = int(np.abs(np.array(levels) - 0.5).argmin())
    axes.plot(fan.times, fan.quantiles[:, middle], color=BAND, lw=1.6, label="median")
    axes.plot(fan.times, fan.naive, color=MUTED, lw=1.0, ls="--", label="seasonal naive")
    axes.plot(fan.before, fan.observed, color=INK, lw=1.2, label="observed")
    size = 3.0 if len(fan.times) <= 60 else 1.5
    axes.plot(fan.times, fan.came, color=CAME, lw=0.8, marker="o", ms=size, label="came")
    _format_times(axes)


def draw_coverage(axes: Any, found: Backtest) -> None:
    """Share inside each central interval by step ahead, beside the share that should be."""
    steps = np.arange(1, found.num_steps + 1)
    for at, (lower, upper) in enumerate(found.intervals):
        label = f"{lower:g} to {upper:g}"
        dash = ("-", *_DASHES)[at % 8]
        axes.plot(steps, found.coverages[:, at], color=BAND, ls=dash, marker="o", ms=3, label=label)
        axes.axhline(upper - lower, color=MUTED, lw=0.8, ls=":")
    axes.set(ylabel="share inside", ylim=(-0.03, 1.03))
    _whole_steps(axes)


def draw_reliability(axes: Any, found: Backtest) -> None:
    """Share of values below each quantile, beside its level: a calibrated model's lie on the diagonal."""
    axes.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":", label="calibrated")
    levels = found.manifest.quantile_levels
    axes.plot(levels, found.shares_below, color=BAND, marker="o", ms=4, label="model")
    axes.set(xlabel="level", ylabel="share below", xlim=(0, 1), ylim=(0, 1))


def draw_errors(axes: Any, found: Backtest) -> None:
    """MASE by step ahead (MAE where there is none): the model's, and each baseline's."""
    metric = "mase" if "mase" in found.scores else "mae"
    steps = np.arange(1, found.num_steps + 1)
    for at, (name, pooled) in enumerate(found.pooled.items()):
        style = {"color": MUTED, "lw": 1.0, "ls": _DASHES[(at - 1) % len(_DASHES)]}
        if not name:
            style = {"color": BAND, "lw": 2.0, "ls": "-"}
        axes.plot(steps, pooled.by_step()[metric], label=title_of(name), **style)
    axes.set(ylabel=metric.upper())
    _whole_steps(axes)
    axes.set_ylim(bottom=0)


def draw_months(axes: Any, found: Backtest) -> None:
    """Share inside the interval that heads the scores, by calendar month."""
    assert found.interval is not None
    months = found.by_month()
    lower, upper = found.intervals[found.interval]
    times = np.array([name for name, _, _ in months], "datetime64[M]").astype("datetime64[us]")
    axes.plot(
        times,
        [covered for *_, covered in months],
        color=BAND,
        marker="o",
        ms=3,
        label=f"{lower:g} to {upper:g}",
    )
    axes.axhline(upper - lower, color=MUTED, lw=0.8, ls=":")
    axes.set(ylabel="share inside", ylim=(-0.03, 1.03))
    _format_times(axes)


def diagrams(found: Backtest) -> list[tuple[str, Callable[[Any, Backtest], None]]]:
    """Titles and what draws them; of one level alone there are no intervals."""
    made: list[tuple[str, Callable[[Any, Backtest], None]]] = [
        ("Error by step ahead", draw_errors),
        ("Calibration", draw_reliability),
    ]
    if found.interval is not None:
        made.append(("Coverage by step ahead", draw_coverage))
        if len(found.months.count) > 1:
            made.append(("Coverage by month", draw_months))
    return made


def fan_title(fan: Fan) -> str:
    """Which series, and from when on."""
    rank = f"{fan.rank}: " if fan.rank else ""
    time = np.datetime_as_string(fan.times[0], unit="m").replace("T", " ").removesuffix(" 00:00")
    return f"{rank}{fan.id}, {time}"


def tidy(axes: Any, title: str) -> None:
    """A title at the left, a quiet grid, no box."""
    axes.set_title(title, loc="left", fontsize=9, color=INK)
    axes.grid(color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=MUTED, length=0)
    axes.xaxis.label.set(size=8, color=MUTED)
    axes.yaxis.label.set(size=8, color=MUTED)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _format_times(axes: Any) -> None:
    from matplotlib import dates

    # matplotlib 3.11 leaves them without annotations.
    locator = dates.AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.xaxis.get_offset_text().set(size=8, color=MUTED)


def _whole_steps(axes: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("steps ahead")
