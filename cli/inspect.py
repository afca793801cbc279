"""`statecast inspect`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cli.advice import on_file
from cli.scores import by_forecaster, matrix_lines

if TYPE_CHECKING:
    from models.manifest import Manifest


def inspect(
    path: Annotated[Path, typer.Argument(help="A model.onnx, or a model's directory: its highest version.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Print what a model file says of itself."""
    from models.artifact import ArtifactError, unseal

    file = newest_file(path)
    try:
        _, manifest = unseal(file.read_bytes())
    except OSError as error:
        _fail(on_file(error, file, "name a model.onnx, or REPOSITORY/MODEL with a version in it"))
    except ArtifactError as error:
        _fail(f"{file}: {error}; `statecast train` writes those that have a manifest")
    if as_json:
        print(manifest.model_dump_json(indent=2))
    else:
        _print_table(manifest)


def _fail(message: str) -> NoReturn:
    print(f"statecast inspect: {message}", file=sys.stderr)
    raise SystemExit(2) from None


_ROLES = {"future": "known ahead", "static": "static"}


def newest_file(path: Path) -> Path:
    """The file itself, that of a version's directory, or that of a model's highest version."""
    if not path.is_dir():
        return path
    versions = [entry for entry in path.iterdir() if entry.name.isdecimal()]
    newest = max(versions, key=lambda entry: int(entry.name), default=path)
    return newest / "model.onnx"


def _print_table(manifest: "Manifest") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, title=manifest.name, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _lines(manifest):
        table.add_row(name, value)
    Console(highlight=False).print(table)


def _lines(manifest: "Manifest") -> list[tuple[str, str]]:
    summary = manifest.training
    features = [
        feature.name
        + (f" ({_ROLES[feature.role]})" if feature.role in _ROLES else "")
        + (f" ({len(feature.categories)} categories)" if feature.categories else "")
        + (" (required)" if feature.required else "")
        for feature in manifest.features
    ]
    states = [f"{state.name} {list(state.shape)} {state.dtype}" for state in manifest.states]
    scores = [
        f"{forecaster}: {', '.join(f'{name} {value:.4g}' for name, value in found.items())}"
        for forecaster, found in by_forecaster(manifest.backtest).items()
    ]
    return [
        ("digest", manifest.digest),
        ("task", _task(manifest)),
        ("cell, head, decoder", f"{manifest.cell}, {manifest.head}, {manifest.decoder}"),
        ("features, target first", "\n".join(features)),
        ("frequency", f"{manifest.frequency}, season of {manifest.season_length} steps"),
        ("reads the time", "yes" if manifest.reads_time else "no"),
        ("horizon", _horizon(manifest)),
        (
            "labels" if manifest.labels else "quantile levels",
            ", ".join(map(_shown, manifest.labels)) or ", ".join(map(str, manifest.quantile_levels)),
        ),
        (f"state, {manifest.state_bytes} bytes", "\n".join(states)),
        ("opset", str(manifest.opset)),
        (
            "trained on",
            f"{summary.num_series} series, {summary.num_rows} rows, {summary.num_missing} missing",
        ),
        ("", f"{summary.first_time:%Y-%m-%d %H:%M} to {summary.last_time:%Y-%m-%d %H:%M} UTC"),
        ("backtest", "\n".join(scores)),
        ("Markov chain", "\n".join(matrix_lines(manifest.transition_matrix)) or "none"),
        ("re-anchored", f"every {manifest.max_stream} rows" if manifest.max_stream else "never"),
        ("parity error", f"{manifest.parity_error:.2g}"),
    ]


def _horizon(manifest: "Manifest") -> str:
    lag = f", behind the newest row by {manifest.look_ahead}" if manifest.look_ahead else ""
    return f"{manifest.horizon}{lag}"


def _task(manifest: "Manifest") -> str:
    of_what = {"ahead": "rows to come", "row": "the row at hand", "series": "the series"}
    return f"{manifest.task} of {of_what[manifest.predicts]}"


def _shown(label: str) -> str:
    """A line break among characters would break the table's line."""
    return label if label.isprintable() and label.strip() else repr(label)
