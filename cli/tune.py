"""`statecast tune`."""

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from cli.advice import on_data
from cli.options import options_of
from cli.train import GATE_FAILED
from training.settings import SettingsError
from training.tune_settings import TuneSettings

if TYPE_CHECKING:
    from training.tune import Progress, Tuned

BEST_FILE = "best.toml"
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object instead of the options")]


@options_of(
    TuneSettings, config_help="options file (TOML), the names with underscores; flags beat it", as_json=AsJson
)
def tune(given: dict[str, Any], config: Path | None, *, as_json: bool = False) -> None:
    """Search for the options that forecast a file of series best."""
    try:
        settings = TuneSettings.build(given, config)
        tuned = _run(settings)
        toml = as_toml(tuned)
        if settings.work_dir is not None:
            (settings.work_dir / BEST_FILE).write_text(toml, encoding="utf-8")
        version = _publish(tuned) if settings.publish else None
    except SettingsError as error:
        _fail(str(error))
    print(
        json.dumps(_summary(tuned) | {"version": version}) if as_json else toml, end="\n" if as_json else ""
    )


def as_toml(tuned: "Tuned") -> str:
    """The best run's options that are not the defaults, as `statecast train --config` reads them."""
    from training.settings import TrainSettings

    settings, progress = tuned.settings, tuned.progress
    given = settings.model_dump(mode="json", include=settings.model_fields_set - {"resume", "work_dir"})
    lines = [
        f"# study {tuned.study}: the best of {progress.num_finished} trials is trial {progress.best_trial}, "
        f"{tuned.value:.6g}"
    ]
    ordered = [name for name in TrainSettings.model_fields if given.get(name) is not None]
    return "\n".join([*lines, *(f"{name} = {_toml(given[name])}" for name in ordered)]) + "\n"


def _toml(value: Any) -> str:
    # A list of these, a number, a truth value and a string are written alike in JSON and TOML.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _run(settings: TuneSettings) -> "Tuned":
    try:
        from training.errors import DataError
        from training.tune import tune as run
    except ModuleNotFoundError as error:
        _fail(f"{error.name} is not installed; a search needs: pip install 'statecast-server[tune]'")
    try:
        with _progress(settings) as watch:
            return run(settings, watch=watch)
    except DataError as error:
        _fail(f"{error}{on_data(error)}")


def _publish(tuned: "Tuned") -> int:
    from training.gates import GateError
    from training.parity import ParityError
    from training.train import train

    try:
        published = train(tuned.settings, progress=sys.stderr.isatty())
    except ParityError as error:
        _fail(str(error))
    except GateError as error:
        _fail(str(error), GATE_FAILED)
    print(f"published {published.path}", file=sys.stderr)
    return published.version


@contextmanager
def _progress(settings: TuneSettings) -> Iterator[Callable[["Progress"], None]]:
    """Trials done, the best so far and the time left, on standard error; lines where it is no screen."""
    from training.progress_bar import bar_of

    def text(now: "Progress") -> str:
        best = "none yet" if now.best is None else f"{now.best:.4g} (trial {now.best_trial})"
        return f"{now.num_pruned} cut short, best {settings.objective} {best}"

    if not sys.stderr.isatty():
        yield lambda now: print(
            f"{now.num_finished}/{settings.trials} trials, {text(now)}", file=sys.stderr, flush=True
        )
        return
    with bar_of("trials", "trials", "{task.description}") as bar:

        def watch(now: "Progress") -> None:
            if not bar.tasks:
                # Trials of a study that goes on are no work of this run's: they are in no rate.
                bar.add_task("", total=settings.trials, completed=now.num_finished)
            bar.update(bar.tasks[0].id, completed=now.num_finished, description=text(now))

        yield watch


def _summary(tuned: "Tuned") -> dict[str, Any]:
    return {
        "study": tuned.study,
        "storage": tuned.storage,
        "value": tuned.value,
        "options": tuned.chosen,
        **dataclasses.asdict(tuned.progress),
    }


def _fail(message: str, status: int = 2) -> NoReturn:
    print(f"statecast tune: {message}", file=sys.stderr)
    raise SystemExit(status) from None
