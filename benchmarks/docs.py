"""`docs/performance.md`, from the JSON of a run."""

from pathlib import Path
from typing import Any

from benchmarks.report import cells_of

_PAGE = """\
# Performance

Written by `python -m benchmarks --write-docs` from the last run of `make bench`; not by hand.

Each figure stands beside a limit that was measured in the same run on the same machine, in turn with it:
the ratio is what carries over to other machines. Ratios are medians of pairs; the spread is the lowest and
highest of them.

{table}

{counts}

![Throughput against resident sessions, latency against load](images/benchmark.png)

## How it was measured

`{command}`, {made_at}, {took_s} s.

{machine}

- The model: an LSTM of two layers of 64, one feature, 24 steps by three quantile levels; untrained, which
  costs the same. {state_note}
- The server runs as its users run it, in a process on its own core; the load on another. The load speaks
  HTTP/2 over plain sockets with prepared messages, because a grpcio client costs more than a server.
- Every reply is received whole and its length checked. A sample is decoded, its positions checked, and its
  forecasts compared with ONNX Runtime run alone over the session's whole history.
- The echo is [`benchmarks/echo.py`](../benchmarks/echo.py): grpc.aio, no parsing, the same message sizes both
  ways, the same event loop. Bare ONNX Runtime keeps its states in two buffers that take turns, and copies
  nothing.
- Sessions lie in the arena at random with respect to frames, and a hundred thousand of them do not fit a
  cache.

{notes}"""


def write_docs(report: dict[str, Any], path: Path) -> None:
    """Write the page.

    Raises:
        ValueError: the run was quick or partial.
    """
    if report["quick"] or report["partial"]:
        raise ValueError("the last run was quick or of single rows; the page needs a whole one")
    rows = report["rows"]
    met = sum(row["verdict"] == "met" for row in rows)
    missed = [row["name"] for row in rows if row["verdict"] != "met"]
    text = _PAGE.format(
        table=_table(rows),
        counts=f"{met} of {len(rows)} reached." + (f" Not reached: {', '.join(missed)}." if missed else ""),
        command=report["command"],
        made_at=report["made_at"],
        took_s=report["took_s"],
        machine="\n".join(f"- {name}: {value}" for name, value in report["machine"].items()),
        state_note=report["model"],
        notes=_notes(rows),
    )
    path.write_text(text, "utf-8")


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| measure | ours | reference | | ratio | spread | reach | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(cells_of(row))} |" for row in rows]
    return "\n".join(lines)


def _notes(rows: list[dict[str, Any]]) -> str:
    lines = ["## Beside the ratios", "", "| row | |", "|---|---|"]
    for row in rows:
        if row["notes"]:
            notes = ", ".join(f"{name} {value:,g}" for name, value in row["notes"].items())
            lines.append(f"| {row['name']} | {notes} |")
    return "\n".join(lines) + "\n"
