"""`python -m benchmarks`: measure, print the table, write JSON and the picture."""

import json
import os
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import model, report
from benchmarks.bare import Bare
from benchmarks.bench import Bench, Sizes
from benchmarks.docs import write_docs
from benchmarks.http2 import CallRefused
from benchmarks.load import CutOff, WrongReply
from benchmarks.machine import Others
from benchmarks.measure import Outcome
from benchmarks.picture import draw
from benchmarks.processes import ROOT, Cores
from benchmarks.rows import GROUPS, Group

_RESULTS = ROOT / "benchmarks" / "results"
_NAMES = [target.name for group in GROUPS for target in group.targets]


def main(
    only: Annotated[list[str] | None, typer.Option(help=f"rows to measure: {', '.join(_NAMES)}")] = None,
    quick: Annotated[bool, typer.Option(help="a few seconds in all, to see that it works")] = False,
    server_dir: Annotated[
        Path, typer.Option(help="the checkout whose server is measured", exists=True, file_okay=False)
    ] = ROOT,
    server_flags: Annotated[str, typer.Option(help="further flags of `statecast serve`")] = "",
    output: Annotated[Path, typer.Option(help="where the JSON and the picture go")] = _RESULTS,
    write_page: Annotated[
        bool,
        typer.Option("--write-docs", help="measure nothing; write docs/performance.md from the last run"),
    ] = False,
) -> None:
    """Measure the server against limits of the same machine and run."""
    console = Console(width=None if sys.stdout.isatty() else 180)
    if write_page:
        last = json.loads((output / "benchmark.json").read_text("utf-8"))
        write_docs(last, ROOT / "docs" / "performance.md")
        draw(last, ROOT / "docs" / "images" / "benchmark.png")
        return
    groups = [group for group in GROUPS if not only or {t.name for t in group.targets} & set(only)]
    if only and (unknown := set(only) - set(_NAMES)):
        raise typer.BadParameter(f"{sorted(unknown)}; known are {', '.join(_NAMES)}", param_hint="--only")
    # So that `finally` stops the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = _bench(server_dir.resolve(), Sizes.quick() if quick else Sizes())
    bench.server_flags, bench.only = tuple(shlex.split(server_flags)), frozenset(only or ())
    begin, others = time.perf_counter(), Others()
    outcomes = []
    for group in groups:
        for outcome in _measured(group, bench):
            outcomes.append(outcome)
            console.print(
                f"[dim]{outcome.target.name}: {outcome.ratio:.2f} {outcome.verdict}[/]", highlight=False
            )
    bench.facts["other processes"] = others.describe()
    made = report.as_json(bench, outcomes, "make bench", time.perf_counter() - begin)
    made["partial"] = bool(only)
    report.write(output / "benchmark.json", made)
    draw(made, output / "benchmark.png")
    report.print_table(made, console)
    if any(outcome.fault.startswith("failed") for outcome in outcomes):
        raise typer.Exit(1)


def _bench(code: Path, sizes: Sizes) -> Bench:
    cores = Cores.of_this_machine()
    # A checkout that cannot be written to is no reason not to measure it.
    cache = _RESULTS if os.access(ROOT / "benchmarks", os.W_OK) else Path(tempfile.gettempdir())
    repository = model.repository(code, cache)
    bare = Bare(repository / model.NAME / "1" / "model.onnx", cores.server)
    if cores.load is not None:
        os.sched_setaffinity(0, {cores.load})
    return Bench(code, repository, bare, cores, sizes)


def _measured(group: Group, bench: Bench) -> Iterator[Outcome]:
    """A group's outcomes; rows that could not be measured say why."""
    left = [target for target in group.targets if bench.wants(target)]
    try:
        for outcome in group.run(bench):
            if outcome.target in left:
                left.remove(outcome.target)
                yield outcome
    except CutOff as error:
        yield from (Outcome(target, fault=f"cut off: {error}") for target in left)
    except (WrongReply, CallRefused, OSError, RuntimeError) as error:
        yield from (Outcome(target, fault=f"failed: {error}"[:300]) for target in left)


if __name__ == "__main__":
    typer.run(main)
