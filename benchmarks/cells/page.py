"""`docs/cells.md`, from the figures of a run."""

from pathlib import Path
from typing import Any

from benchmarks.cells.endless import MOST
from benchmarks.cells.fitted import HIDDEN_SIZE, LEARNING_RATE, LOOK_AHEAD, SEGMENT_LENGTH, VALIDATION
from cli.scores import by_forecaster
from models.cells import CELLS
from training.operators import layer_operators

_PAGE = """\
# Cells

Written by `make cells`; not by hand. `statecast train --cell` names one; the equations and where they come
from stand at the head of its file in `models/cells/`.

{cells}

How far back each of them learns, what its gates do and how long they keep: `statecast diagnose`; see
[training.md](training.md).

## Compared on two real series

{comparison}

MASE is the error of the median in units of the seasonal naive forecast's on the training part: smaller is
better. Quantile loss is the weighted one of Salinas et al. 2020. Training is the processor time of the fit;
rows a second of processor time are those of one stream, a row a call to ONNX Runtime, without a server.

{baselines}

![Error, streamed rows a second and training time of every cell](images/cells.png)

Every cell: one layer of {hidden_size} units, {epochs} epochs at {learning_rate:g}, segments of
{segment_length} rows, the best epoch by the validation loss; judged on the last {validation:.0%} of the
series, on which the epoch was chosen too. One seed: differences of a few percent mean nothing. Cells that
need the future wait for {look_ahead} rows, and the steps seen meanwhile are not judged.

## Streams without end

A cell is trained on segments of {segment_length} rows with its state carried on, and a stream may go on for
ever. Here the sunspots are streamed over and over: every pass has the same rows, and the same rows to come,
so two passes differ by what the state has become and by nothing else. Mean absolute error over the pass about
row 1,000 and over that about row 100,000:

{streams}

{verdict}

## How it was measured

`make cells`, {made_at}, {took_s} s.

{machine}
"""


def write_page(made: dict[str, Any], path: Path) -> None:
    """Write the page of a whole run."""
    text = _PAGE.format(
        cells=_cells(),
        comparison="\n\n".join(_comparison(made, name, title) for name, title in made["series"].items()),
        baselines=_baselines(made),
        streams=_streams(made["streams"]),
        verdict=_verdict(made["streams"]),
        machine="\n".join(f"- {name}: {value}" for name, value in made["machine"].items()),
        hidden_size=HIDDEN_SIZE,
        learning_rate=LEARNING_RATE,
        segment_length=SEGMENT_LENGTH,
        validation=VALIDATION,
        look_ahead=LOOK_AHEAD,
        **{name: made[name] for name in ("epochs", "made_at", "took_s")},
    )
    path.write_text(text, "utf-8")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells() -> str:
    rows = []
    for name, make in CELLS.items():
        cell = make(3, 2, 1, 0.0, False, LOOK_AHEAD if make.looks_ahead else 0)
        says = (make.__doc__ or "").partition("\n")[0].rstrip(".:")
        states = ", ".join(f"`{state.removesuffix('_0')}`" for state in cell.state_init())
        operators = ", ".join(f"`{operator}`" for operator in layer_operators(cell))
        rows.append([f"`{name}`", says, states, operators])
    table = _table(["cell", "what it is", "state", "ONNX"], rows)
    return table.replace("---:", "---")


def _comparison(made: dict[str, Any], series: str, title: str) -> str:
    rows = [
        [
            f"`{one['cell']}`",
            f"{one['scores']['mase']:.3f}",
            f"{one['scores']['weighted_quantile_loss']:.4g}",
            f"{one['scores']['coverage']:.0%}",
            f"{one['num_parameters']:,}",
            f"{one['training_s']:.1f} s",
            f"{one['steps_per_s']:,.0f}",
        ]
        for one in made["fits"]
        if one["series"] == series
    ]
    head = ["cell", "MASE", "quantile loss", "in the 80% band", "parameters", "training", "rows/s"]
    return f"### {title[0].upper()}{title[1:]}\n\n{_table(head, rows)}"


def _baselines(made: dict[str, Any]) -> str:
    """MASE of each baseline, as fitted beside the first cell."""
    first = made["fits"][0]["cell"]
    scores = {one["series"]: by_forecaster(one["scores"]) for one in made["fits"] if one["cell"] == first}
    names = [name for name in scores["co2"] if name != "model"]
    rows = [
        [
            name,
            *(f"{scores[series].get(name, {}).get('mase', float('nan')):.3f}" for series in made["series"]),
        ]
        for name in names
    ]
    return "The same of forecasters without a network:\n\n" + _table(["MASE", *made["series"].values()], rows)


def _streams(streams: list[dict[str, Any]]) -> str:
    rows = [
        [f"`{one['cell']}`", f"{one['early']:.2f}", f"{one['late']:.2f}", f"{one['ratio']:.3f}"]
        for one in streams
    ]
    return _table(["cell", "about row 1,000", "about row 100,000", "ratio"], rows)


def _verdict(streams: list[dict[str, Any]]) -> str:
    worse = [one for one in streams if one["first_above"] or not one["ratio"] <= MOST]
    if not worse:
        return (
            f"No cell's error grows by more than {MOST - 1:.0%} in any pass: none needs to be re-anchored, "
            "and `max_stream` is left out of their manifests."
        )
    names = ", ".join(f"`{one['cell']}` (from row {one['first_above']:,})" for one in worse)
    return f"Beyond {MOST:g} times the early error: {names}."
