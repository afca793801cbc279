"""`python -m benchmarks.cells`: train every cell on both series, print the table, write the page."""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.cells.endless import Endless, endless
from benchmarks.cells.fitted import Fitted, fit_and_measure
from benchmarks.cells.page import write_page
from benchmarks.cells.picture import draw
from benchmarks.cells.series import Series, write_series
from benchmarks.machine import Others, describe, revision
from benchmarks.processes import ROOT
from models.cells import CELLS
from training.dataset import read_dataset
from training.settings import TrainSettings

_EPOCHS, _STEPS = 20, 2_000


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"cells: {', '.join(CELLS)}")] = None,
    quick: Annotated[bool, typer.Option(help="an epoch each, to see that it works; writes no page")] = False,
    output: Annotated[Path, typer.Option(help="where the JSON goes")] = ROOT / "benchmarks" / "results",
    write_docs: Annotated[
        bool, typer.Option("--write-docs", help="measure nothing; write the page from the last run")
    ] = False,
    docs: Annotated[Path, typer.Option(help="where cells.md and its picture go")] = ROOT / "docs",
) -> None:
    """Compare every cell on two real series, and measure a stream of a hundred thousand rows of each."""
    if unknown := set(only or ()) - set(CELLS):
        raise typer.BadParameter(f"{sorted(unknown)}; known are {', '.join(CELLS)}", param_hint="--only")
    if write_docs:
        _write_docs(json.loads((output / "cells.json").read_text("utf-8")), docs)
        return
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    begin, others = time.perf_counter(), Others()
    fits, streams = [], []
    with tempfile.TemporaryDirectory() as directory:
        for number, cell in enumerate(only or CELLS):
            for series in write_series(Path(directory)):
                fitted = _measured(cell, series, quick, baselines=number == 0 and not quick)
                fits.append(fitted)
                console.print(_line(fitted))
                if series.name == "sunspots":
                    streams.append(endless(fitted, _target(series), late=5_000 if quick else 100_000))
                    console.print(f"  late / early {streams[-1].ratio:.3f}")
        titles = {series.name: series.title for series in write_series(Path(directory))}
    made = _as_json(fits, streams, titles, others.describe(), time.perf_counter() - begin)
    output.mkdir(parents=True, exist_ok=True)
    (output / "cells.json").write_text(json.dumps(made, indent=2, allow_nan=False) + "\n", "utf-8")
    if not quick and not only:
        _write_docs(made, docs)


def _write_docs(made: dict[str, Any], docs: Path) -> None:
    write_page(made, docs / "cells.md")
    draw(made, docs / "images" / "cells.png")


def _measured(cell: str, series: Series, quick: bool, *, baselines: bool) -> Fitted:
    epochs, steps = (1, 50) if quick else (_EPOCHS, _STEPS)
    return fit_and_measure(cell, series, epochs, steps, baselines=baselines)


def _target(series: Series) -> Any:
    options = {"data": series.path, "output": "r/m", "freq": series.freq, "horizon": series.horizon}
    return read_dataset(TrainSettings.build(options)).series[0].target


def _line(fitted: Fitted) -> str:
    return (
        f"{fitted.cell} on {fitted.series}: MASE {fitted.scores['mase']:.3f}, "
        f"{fitted.num_parameters:,} parameters, {fitted.training_s:.1f} s, {fitted.steps_per_s:,.0f} rows/s"
    )


def _as_json(
    fits: Sequence[Fitted],
    streams: Sequence[Endless],
    titles: dict[str, str],
    others: str,
    took_s: float,
) -> dict[str, Any]:
    """Everything that the page and the picture are made of."""
    left_out = {"content", "manifest"}
    return {
        "made_at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "took_s": round(took_s),
        "machine": {
            **describe(),
            "revision": revision(ROOT),
            "other processes": others.replace("the p99 rows", "times and speeds"),
        },
        "epochs": _EPOCHS,
        "series": titles,
        "fits": [{name: value for name, value in vars(one).items() if name not in left_out} for one in fits],
        "streams": [{**asdict(one), "ratio": one.ratio} for one in streams],
    }


if __name__ == "__main__":
    typer.run(main)
