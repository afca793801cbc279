"""Every cell's error, speed and training time, on both series."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_MARKS = (("o", "#0b62a4"), ("s", "#c75d00"))


def draw(made: dict[str, Any], path: Path) -> None:
    """Write a PNG: a row for each cell, a mark for each series."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    cells = list(dict.fromkeys(one["cell"] for one in made["fits"]))
    panels: Sequence[tuple[str, Callable[[dict[str, Any]], float]]] = (
        ("MASE, smaller is better", lambda one: one["scores"]["mase"]),
        ("thousand streamed rows a second", lambda one: one["steps_per_s"] / 1000),
        ("training, s", lambda one: one["training_s"]),
    )
    figure, grid = pyplot.subplots(
        1, 3, figsize=(12, 0.35 * len(cells) + 1.4), sharey=True, layout="constrained"
    )
    for (title, value), axes in zip(panels, grid, strict=True):
        for (mark, colour), (series, label) in zip(_MARKS, made["series"].items(), strict=True):
            shown = [one for one in made["fits"] if one["series"] == series]
            rows = [cells.index(one["cell"]) for one in shown]
            axes.plot([value(one) for one in shown], rows, mark, color=colour, label=label)
        axes.set_xlim(left=0)
        axes.set_title(title, loc="left")
        axes.grid(alpha=0.3)
    grid[0].set_yticks(range(len(cells)), cells)
    grid[0].invert_yaxis()
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
