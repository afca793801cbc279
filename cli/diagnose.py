"""`statecast diagnose`."""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cli.advice import on_data

if TYPE_CHECKING:
    from training.diagnosis.report import Diagnosis


_JSON_FILE = "diagnosis.json"


def diagnose(
    run: Annotated[
        Path | None,
        typer.Argument(
            help="The --work-dir of a training run: its best weights. A published model.onnx holds no "
            "gradients. Without it, cells with fresh weights."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help=r"CSV or Parquet file. \[default: the run's own, or weekly CO2]")
    ] = None,
    cell: Annotated[str, typer.Option(help="Fresh cells, with commas; or all.")] = "all",
    hidden_size: Annotated[int, typer.Option(min=1, help="Units of fresh cells.")] = 32,
    num_layers: Annotated[int, typer.Option(min=1, help="Layers of fresh cells.")] = 1,
    memory_steps: Annotated[
        int | None, typer.Option(min=3, help="Rows that gates of fresh cells start out keeping.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of fresh weights.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Rows to look back.")] = 100,
    output: Annotated[Path, typer.Option(help="Folder for the pictures and the JSON.")] = Path("diagnosis"),
    to_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Show how far back a network learns, what its gates do, how long it remembers; and what to change."""
    from training.settings import SettingsError

    try:
        from training.diagnosis.report import as_json
        from training.diagnosis.subjects import diagnose_fresh, diagnose_run
        from training.errors import DataError
    except ModuleNotFoundError as error:
        _fail(f"{error.name} is not installed; diagnosing needs: pip install 'statecast-server[train]'")
    try:
        if run is not None:
            found = [diagnose_run(run, steps, data)]
        else:
            with tempfile.TemporaryDirectory() as directory:
                found = diagnose_fresh(
                    _cells(cell),
                    data or _demonstration_file(Path(directory)),
                    steps=steps,
                    hidden_size=hidden_size,
                    num_layers=num_layers,
                    memory_steps=memory_steps,
                    seed=seed,
                    progress=True,
                )
    except DataError as error:
        _fail(f"{error}{on_data(error)}")
    except SettingsError as error:
        _fail(str(error))
    text = json.dumps(as_json(found), indent=2, allow_nan=False)
    pictures = _write(found, text, output)
    if to_json:
        print(text)
    else:
        _print(found, [output / _JSON_FILE, *pictures])


def _fail(message: str) -> NoReturn:
    print(f"statecast diagnose: {message}", file=sys.stderr)
    raise SystemExit(2) from None


def _cells(text: str) -> list[str]:
    from models.cells import CELLS

    return list(CELLS) if text == "all" else [part.strip() for part in text.split(",") if part.strip()]


def _demonstration_file(directory: Path) -> Path:
    from training.demonstration import co2_weekly

    path = directory / "co2.csv"
    co2_weekly().to_csv(path, index=False)
    return path


def _write(found: "Sequence[Diagnosis]", text: str, output: Path) -> list[Path]:
    """Returns the pictures."""
    from training.diagnosis.picture import draw_gates, draw_gradients

    output.mkdir(parents=True, exist_ok=True)
    (output / _JSON_FILE).write_text(f"{text}\n")
    draw_gradients(found, output / "gradient.png")
    has_gates = draw_gates(found, output / "gates.png")
    return [output / "gradient.png", *([output / "gates.png"] if has_gates else [])]


def _print(found: "Sequence[Diagnosis]", written: "Sequence[Path]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"gradient of a forecast's loss, {found[0].gradient.steps} rows back", title_justify="left"
    )
    for column in ("", "of the nearest row's", "a step back", "reaches", "", "gates keep", "spectral radius"):
        table.add_column(column, justify="left" if column == "" else "right")
    for one in found:
        gradient = one.gradient
        memory = ", ".join(f"{layer.median:.1f} ({layer.longest:.0f})" for layer in one.memory)
        radius = max((each.radius for each in one.radii), default=None)
        table.add_row(
            one.name,
            f"{gradient.relative[-1]:.1e}",
            f"x {gradient.factor:.2f}",
            f"{gradient.reach} rows",
            gradient.verdict,
            memory or "-",
            "-" if radius is None else f"{radius:.2f}",
        )
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(table)
    console.print(
        "gates keep: rows until 1/e is left, the median unit's (the longest), a layer after the other"
    )
    for one in found:
        for sentence in one.advice:
            console.print(f"[bold]{one.name}[/bold]: {sentence}", soft_wrap=True)
    console.print(f"written: {', '.join(map(str, written))}", soft_wrap=True)
