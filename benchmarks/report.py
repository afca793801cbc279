"""The table, and the JSON it is kept in."""

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.bench import Bench
from benchmarks.measure import Outcome

COLUMNS = ("measure", "ours", "reference", "", "ratio", "spread", "reach", "")


def as_json(bench: Bench, outcomes: list[Outcome], command: str, took_s: float) -> dict[str, Any]:
    """Everything a report or a picture is made of."""
    return {
        "made_at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "command": command,
        "took_s": round(took_s),
        "quick": bench.sizes.repeats < 3,
        "model": f"A session's state is {bench.bare.manifest.state_bytes:,} bytes.",
        "machine": {
            **machine.describe(),
            "revision": machine.revision(bench.code),
            "pinning": bench.cores.describe(),
            **bench.facts,
        },
        "rows": [_row(outcome) for outcome in outcomes],
        "curves": bench.curves,
    }


def write(path: Path, report: dict[str, Any]) -> None:
    """Write the JSON; what is not a number becomes null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", "utf-8")


def print_table(report: dict[str, Any], console: Console) -> None:
    """The table of ratios, with what was measured where."""
    table = Table(*COLUMNS, title="Ratios against references of the same run", title_justify="left")
    for name in ("ours", "reference", "ratio", "reach"):
        table.columns[COLUMNS.index(name)].justify = "right"
    for row in report["rows"]:
        colour = {"met": "green", "missed": "red"}.get(row["verdict"], "yellow")
        *cells, verdict = cells_of(row)
        table.add_row(*cells, f"[{colour}]{verdict}[/]")
    console.print(table)
    machine_line = "; ".join(f"{name}: {value}" for name, value in report["machine"].items())
    console.print(machine_line, soft_wrap=True, highlight=False)
    if report["quick"]:
        console.print("A quick run: it shows that the benchmark works, its figures mean little.")


def cells_of(row: dict[str, Any]) -> list[str]:
    """A row of the table as text; the same in the terminal and in the documentation."""
    measured = row["ratio"] is not None
    spread = f"{row['lowest']:.2f} to {row['highest']:.2f}" if measured else ""
    return [
        row["measure"],
        _figure(row["ours"], row["unit"]) if measured else "",
        row["reference"],
        _figure(row["reference_value"], row["unit"]) if measured else "",
        f"{row['ratio']:.2f}" if measured else "",
        spread,
        row["reach"],
        row["verdict"],
    ]


def _row(outcome: Outcome) -> dict[str, Any]:
    target = outcome.target
    sign = "<=" if target.at_most else ">="
    numbers = {
        "ours": outcome.ours,
        "reference_value": outcome.reference,
        "ratio": outcome.ratio,
        "lowest": outcome.lowest,
        "highest": outcome.highest,
    }
    return {
        **dataclasses.asdict(target),
        "reach": f"{sign} {target.reach:.2f}",
        **{name: value if math.isfinite(value) else None for name, value in numbers.items()},
        "verdict": outcome.verdict,
        "notes": {name: round(value, 3) for name, value in outcome.notes.items()},
    }


def _figure(value: float, unit: str) -> str:
    if unit == "us":
        return f"{value / 1000:,.1f} ms" if value >= 10_000 else f"{value:,.0f} us"
    if unit == "bytes" and value >= 1 << 20:
        return f"{value / (1 << 20):,.0f} MiB"
    return f"{value:,.0f} {unit}"
