"""`python -m benchmarks.accuracy`: measure, print the table, keep the figures, write the page."""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.accuracy.ablations import ON, ablated, of_data_set
from benchmarks.accuracy.measured import OURS, Context, Measured, only
from benchmarks.accuracy.page import line, write_page
from benchmarks.accuracy.peers import SCRIPTS, PeerFailed
from benchmarks.accuracy.problem import DataMissing
from benchmarks.accuracy.runs import RUNS
from benchmarks.machine import describe, revision
from benchmarks.processes import ROOT

BOTH = "ours,peers"
_PEERS = ROOT / ".venv" / "peers" / "bin" / "python"
_CONSOLE = Console(width=None if sys.stdout.isatty() else 160, highlight=False)


def main(
    data: Annotated[Path, typer.Option(help="folder of the data sets")] = ROOT.parent / "shared" / "data",
    runs: Annotated[str, typer.Option("--only", help=f"some of {','.join(RUNS)}; ett is all of ETT")] = "",
    quick: Annotated[bool, typer.Option(help="a short training each, to see that it works")] = False,
    methods: Annotated[str, typer.Option(help="ours, peers or both; peers train as long as ours did")] = BOTH,
    budget_s: Annotated[float | None, typer.Option(help="processor seconds of a peer instead")] = None,
    ablations: Annotated[bool, typer.Option("--ablations", help="each part off in turn")] = False,
    parts: Annotated[str, typer.Option(help="of the ablations those that begin so: nothing,calendar")] = "",
    write_docs: Annotated[bool, typer.Option("--write-docs", help="measure nothing, write the page")] = False,
    output: Annotated[Path, typer.Option(help="where the JSON goes")] = ROOT / "benchmarks" / "results",
    docs: Annotated[Path, typer.Option(help="where accuracy.md goes")] = ROOT / "docs",
) -> None:
    """Measure accuracy on public series. A run replaces its own figures and leaves those of others."""
    try:
        names = only([name for name in runs.split(",") if name], RUNS)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--only") from error
    kept = _Results(output / ("accuracy-quick.json" if quick else "accuracy.json"))
    context_of = partial(_context, data, quick)
    try:
        if ablations:
            _ablate(kept, [name for name in names if name in ON], tuple(parts.split(",")), context_of)
        elif not write_docs:
            for number, name in enumerate(names, start=1):
                _CONSOLE.print(f"[bold]{number} of {len(names)}: {RUNS[name].title}[/bold]")
                if "ours" in methods:
                    _keep(kept, name, partial(_measured, name, context_of))
                if "peers" in methods:
                    _run_peers(kept, name, context_of, budget_s)
    except DataMissing as error:
        _CONSOLE.print(f"[red]{error}[/red]", soft_wrap=True)
        raise typer.Exit(1) from error
    if not quick:
        write_page(kept.made, docs / "accuracy.md")


class _Results:
    """The figures of the last run of each part; written after every part, so that none is lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.made: dict[str, Any] = {"runs": {}, "ablations": {}}
        if path.exists():
            self.made = json.loads(path.read_text("utf-8"))

    def write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self.made, indent=2, allow_nan=False) + "\n", "utf-8")


ContextOf = Callable[[dict[str, Any]], AbstractContextManager[Context]]


@contextmanager
def _context(folder: Path, quick: bool, given: dict[str, Any]) -> Iterator[Context]:
    with tempfile.TemporaryDirectory(prefix="statecast-accuracy-") as directory:
        peers = _PEERS if _PEERS.exists() else None
        yield Context(folder, Path(directory), quick, given, peers)


def _measured(name: str, context_of: ContextOf) -> Measured:
    with context_of({}) as context:
        return RUNS[name].measure(context)


def _keep(kept: _Results, name: str, measure: Callable[[], Measured]) -> None:
    """Measure; put what was found beside the other methods' figures of the same run, and print them."""
    start = time.perf_counter()
    try:
        made = measure()
    except PeerFailed as error:
        _CONSOLE.print(f"[yellow]{error}[/yellow]", soft_wrap=True)
        return
    run = kept.made["runs"].setdefault(name, {"scores": {}, "training": {}})
    run["scores"] = RUNS[name].finish({**run["scores"], **made.scores})
    when = {"made_at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "revision": revision(ROOT)}
    for method in made.scores:
        took = {"took_s": round(time.perf_counter() - start), **when, **describe()}
        run["training"][method] = {**made.training.get(method, {}), **took}
        _CONSOLE.print(line(method, run["scores"][method], run["training"][method], RUNS[name].metrics))
    if OURS in made.scores:
        run["options"] = made.options
    kept.write()


def _run_peers(kept: _Results, name: str, context_of: ContextOf, budget_s: float | None) -> None:
    """Each peer that forecasts this data set, for as much processor time as ours took when it was trained."""
    if RUNS[name].peer is None:
        return
    of_ours = kept.made["runs"].get(name, {}).get("training", {}).get(OURS, {})
    budget = budget_s or of_ours.get("processor_s")
    if not _PEERS.exists() or budget is None:
        missing = "their environment: scripts/install-peers.sh" if budget else "ours was not trained yet"
        _CONSOLE.print(f"  [yellow]no peers: {missing}[/yellow]")
        return
    for method in SCRIPTS:
        _keep(kept, name, partial(_of_peer, name, method, budget, context_of))


def _of_peer(name: str, method: str, budget_s: float, context_of: ContextOf) -> Measured:
    peer = RUNS[name].peer
    assert peer is not None
    with context_of({}) as context:
        return peer(context, method, budget_s)


def _ablate(kept: _Results, names: list[str], parts: tuple[str, ...], context_of: ContextOf) -> None:
    """Those parts whose names begin with one of `parts`; other figures stay."""
    for name in names:
        found = {one["part"]: one for one in kept.made["ablations"].get(name, [])}
        for ablation in of_data_set(name):
            if not ablation.part.startswith(parts):
                continue
            one = ablated(ablation, name, RUNS[name], context_of)
            found[one.part] = {**vars(one), "without": dict(one.without)}
            in_order = [found[each.part] for each in of_data_set(name) if each.part in found]
            kept.made["ablations"][name] = in_order
            kept.write()
            scores = ", ".join(f"{metric} {one.scores[metric]:.4f}" for metric in ON[name])
            _CONSOLE.print(f"{name} without {one.part}: {scores}")


if __name__ == "__main__":
    typer.run(main)
