"""The gradient back through time, the gates, and how long they keep; drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.diagnosis.gates import NUM_BINS
from training.diagnosis.gradient import VANISHED
from training.diagnosis.report import Diagnosis

# Told apart without colour.
_DASHES = ("-", "--", "-.", ":")


def draw_gradients(diagnoses: Sequence[Diagnosis], path: Path) -> None:
    """Write a PNG: a line for each forecaster, on a logarithmic scale."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
    for number, one in enumerate(diagnoses):
        relative = np.array(one.gradient.relative)
        label = f"{one.name}: {one.gradient.verdict}"
        style = _DASHES[number // 10 % len(_DASHES)]
        axes.plot(np.arange(len(relative)), np.where(relative > 0, relative, np.nan), style, label=label)
    axes.axhline(VANISHED, color="#222222", lw=0.8, ls=":")
    axes.set(
        yscale="log", xlabel="rows back from the forecast", ylabel="norm of the gradient, of the nearest"
    )
    axes.set_ylim(bottom=max(axes.get_ylim()[0], 1e-16))
    axes.set_title("How the loss of a forecast reaches back through time", loc="left")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def draw_gates(diagnoses: Sequence[Diagnosis], path: Path) -> bool:
    """Write a PNG of every gate's histogram, a row of them for each layer; False where there are no gates."""
    rows: dict[str, list[tuple[str, Sequence[float]]]] = {}
    for one in diagnoses:
        for found in one.gates:
            rows.setdefault(f"{one.name}\n{found.layer}", []).append((found.gate, found.shares))
    if not rows:
        return False
    pyplot = _pyplot()
    most = max(map(len, rows.values()))
    figure, grid = pyplot.subplots(
        len(rows), most, figsize=(2.6 * most + 1, 1.5 * len(rows) + 0.4), layout="constrained", squeeze=False
    )
    for (name, gates), line in zip(rows.items(), grid, strict=True):
        for axes in line[len(gates) :]:
            axes.set_visible(False)
        for (gate, shares), axes in zip(gates, line, strict=False):
            axes.bar((np.arange(NUM_BINS) + 0.5) / NUM_BINS, shares, width=1 / NUM_BINS, color="#0b62a4")
            axes.set_title(gate, loc="left", fontsize=9)
            axes.set(xlim=(0, 1), yticks=[])
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    figure.suptitle("Gates, from shut (0) to open (1): share of rows and units", x=0.01, ha="left")
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
    return True


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
