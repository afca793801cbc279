"""`statecast train`."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli.advice import on_data
from cli.options import options_of
from cli.scores import matrix_lines, score_table
from training.processes import AnotherPublishes, started_by_torchrun
from training.settings import SettingsError, TrainSettings

# Of the exit: trained and judged, and not good enough.
GATE_FAILED = 3

if TYPE_CHECKING:
    from training.train import Published


AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object instead of the scores")]


@options_of(
    TrainSettings,
    config_help="options file (TOML), the names with underscores; flags beat it",
    as_json=AsJson,
)
def train(given: dict[str, Any], config: Path | None, *, as_json: bool = False) -> None:
    """Fit a forecaster on a file of series and publish it to a repository."""
    try:
        settings = TrainSettings.build(given, config)
        if settings.devices > 1 and not started_by_torchrun():
            _on_each_device(settings)
            return
        published = _run(settings)
    except SettingsError as error:
        _fail(str(error))
    except AnotherPublishes:
        return
    if as_json:
        print(json.dumps(_summary(published)))
    else:
        _report(published, settings)


def _summary(published: "Published") -> dict[str, Any]:
    return {
        "path": str(published.path),
        "version": published.version,
        "manifest": published.manifest.model_dump(mode="json"),
    }


def _on_each_device(settings: TrainSettings) -> None:
    """This command once for each device, by torchrun, which ends all of them when one fails."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads))
    try:
        run.main(["--standalone", f"--nproc-per-node={settings.devices}", "-m", "cli", *sys.argv[1:]])
    except ChildFailedError as error:
        raise SystemExit(max(failure.exitcode for failure in error.failures.values()) or 1) from None


def _run(settings: TrainSettings) -> "Published":
    try:
        from training.errors import DataError
        from training.gates import GateError
        from training.parity import ParityError
        from training.train import train as run
    except ModuleNotFoundError as error:
        _fail(f"{error.name} is not installed; training needs: pip install 'statecast-server[train]'")
    try:
        return run(settings, progress=sys.stderr.isatty())
    except DataError as error:
        _fail(f"{error}{on_data(error)}")
    except ParityError as error:
        _fail(f"{error}; report it with these options: a file that computes something else is not served")
    except GateError as error:
        _fail(str(error), status=GATE_FAILED)


def _fail(message: str, status: int = 2) -> NoReturn:
    print(f"statecast train: {message}", file=sys.stderr)
    raise SystemExit(status) from None


def _report(published: "Published", settings: TrainSettings) -> None:
    from rich.console import Console

    manifest, console = published.manifest, Console(soft_wrap=True, highlight=False)
    summary = manifest.training
    console.print(f"[bold]{published.path}[/bold]  (model {manifest.name}, version {published.version})")
    console.print(
        f"{manifest.cell} on {summary.num_series} series, {summary.num_rows} rows, "
        f"{summary.num_missing} values missing; horizon {manifest.horizon}, every {manifest.frequency}"
    )
    console.print(score_table(manifest.backtest, "backtest on the validation part"))
    if manifest.transition_matrix:
        of_what = "each label" if manifest.labels else "each bin of values, from the lowest"
        console.print(f"transitions of the Markov chain, a row for {of_what}, to the next:")
        console.print("\n".join(matrix_lines(manifest.transition_matrix)))
    console.print(f"parity: ONNX Runtime is within {manifest.parity_error:.1e} of torch (scaled units)")
    console.print(f"serve it:  statecast serve --repository {settings.repository}")
