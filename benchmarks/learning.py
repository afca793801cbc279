"""`python -m benchmarks.learning`: what options of learning are worth, for docs/training.md."""

import json
import math
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console

from benchmarks.cells.series import Series, write_series
from benchmarks.processes import ROOT
from models.forecaster import Forecaster
from models.frequency import Frequency
from models.state import initial_state
from training import scores
from training.dataset import SeriesData
from training.fit import fit_one
from training.read import read
from training.rows import SeriesRows
from training.segments import targets_of
from training.settings import TrainSettings

_SEEDS, _EPOCHS = (0, 1, 2), 12
_BASE = {"cell": "lstm", "hidden_size": 32, "segment_length": 32, "validation_fraction": 0.2}
_ROLL_OUT = {"decoder": "roll-out", "sample_paths": 16}
# Steps so large that a gradient's size matters.
_RISKY = {"cell": "elman-relu", "learning_rate": 0.03}


@dataclass(frozen=True)
class Option:
    """One option, the values that are compared, and what else is set meanwhile."""

    flag: str
    values: tuple[object, ...]
    besides: Mapping[str, object]
    note: str = ""

    @property
    def name(self) -> str:
        return self.flag.removeprefix("--").replace("-", "_")


OPTIONS = (
    Option("--segment-length", (8, 16, 32, 64, 128), {}),
    Option("--gradient-clip", (0.1, 1.0, 10.0, 1e6), {}),
    Option("--gradient-clip", (0.1, 1.0, 10.0, 1e6), _RISKY, "elman-relu, learning rate 0.03"),
    Option(
        "--gradient-clip-value",
        (0.001, 0.01, 0.1, None),
        {**_RISKY, "gradient_clip": 1e6},
        "the same, without a bound on the norm",
    ),
    Option("--memory-steps", (None, 12, 50, 200), {}),
    Option("--teacher-forcing", (1.0, 0.75, 0.5, 0.0), _ROLL_OUT, "roll-out"),
)


def main(
    quick: Annotated[bool, typer.Option(help="an epoch and a seed, to see that it works")] = False,
    output: Annotated[Path, typer.Option(help="where the JSON goes")] = ROOT / "benchmarks" / "results",
    page: Annotated[Path, typer.Option(help="whose table is replaced")] = ROOT / "docs" / "training.md",
) -> None:
    """Train with each value of each option on two real series, three seeds each."""
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        series = write_series(Path(directory))
        rows = []
        for row in _measured(series, _SEEDS[:1] if quick else _SEEDS, 1 if quick else _EPOCHS):
            rows.append(row)
            console.print(row)
    made = {
        "took_s": round(time.perf_counter() - begin),
        "series": [one.title for one in series],
        "rows": rows,
    }
    output.mkdir(parents=True, exist_ok=True)
    (output / "learning.json").write_text(json.dumps(made, indent=2) + "\n", "utf-8")
    if not quick:
        page.write_text(replaced(page.read_text("utf-8"), table(made)), "utf-8")


def replaced(text: str, made: str) -> str:
    """The page with what stands between its marks made anew."""
    begin, end = "<!-- measured: make learning -->", "<!-- /measured -->"
    found, num = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n\n{made}\n\n{end}", text, flags=re.DOTALL)
    if num != 1:
        raise ValueError(f"expected one pair of marks {begin!r} and {end!r}, found {num}")
    return found


def table(made: dict[str, Any]) -> str:
    """MASE of each value: the mean over the seeds and, in brackets, the lowest and the highest."""
    head = ["option", "value", *made["series"]]
    lines = [head, ["---"] * 2 + ["---:"] * len(made["series"])]
    for row in made["rows"]:
        flag = f"`{row['flag']}`" + (f" ({row['note']})" if row["note"] else "")
        lines.append([flag, row["value"], *map(_cell, row["mase"])])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(found: Sequence[float]) -> str:
    known = [value for value in found if math.isfinite(value)]
    if not known:
        return "diverged"
    text = f"{statistics.mean(known):.3f} ({min(known):.3f} to {max(known):.3f})"
    return text if len(known) == len(found) else f"{text}, {len(found) - len(known)} diverged"


def _measured(series: Sequence[Series], seeds: Sequence[int], epochs: int) -> Iterator[dict[str, Any]]:
    for option in OPTIONS:
        for value in option.values:
            mase = [
                [_mase(one, {**option.besides, option.name: value}, seed, epochs) for seed in seeds]
                for one in series
            ]
            shown = "none" if value in (None, 1e6) else str(value)
            yield {"flag": option.flag, "value": shown, "note": option.note, "mase": mase}


def _mase(series: Series, options: Mapping[str, object], seed: int, epochs: int) -> float:
    given = {name: value for name, value in options.items() if value is not None}
    settings = TrainSettings.build(
        {
            **_BASE,
            "data": series.path,
            "output": series.path.parent / "repository" / "m",
            "freq": series.freq,
            "horizon": series.horizon,
            "max_epochs": epochs,
            "patience": epochs,
            "seed": seed,
            **given,
        }
    )
    dataset = read(settings)
    season = Frequency.parse(series.freq).season_length
    return _scored(fit_one(settings, dataset), dataset.series[0], series.horizon, season)


def _scored(forecaster: Forecaster, one: SeriesData, horizon: int, season: int) -> float:
    """MASE of the median on the held-out rows, as `training.backtesting` has it, by torch alone."""
    rows = SeriesRows(one, forecaster.architecture.row_layout)[:]
    x, state = torch.from_numpy(rows[None]), initial_state(forecaster.state_init(), 1)
    first, last = one.validation_start - 1, len(one.times) - horizon
    with torch.inference_mode():
        state = forecaster.advance(x[:, :first], state)
        forecast, _ = forecaster(x[:, first:last], state)
    levels = np.array(forecaster.architecture.quantile_levels)
    point = forecast[0, ..., scores.median_column(levels)].numpy()
    actual = targets_of(one.target, horizon)[first:last]
    return scores.mean_absolute_error(actual, point) / scores.seasonal_scale(one.target[: first + 1], season)


if __name__ == "__main__":
    typer.run(main)
