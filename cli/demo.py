"""`statecast demo`: the whole way on one series, in front of the reader."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from statecast import Forecast
    from training.dataset import Dataset, SeriesData
    from training.picture import Streamed
    from training.settings import TrainSettings

_MODEL = "demo"
_MOST_SERIES = 5
# Two years of weeks, and no more than a fifth of a short file.
_HELD_OUT, _HELD_OUT_SHARE = 104, 0.2
_LONGEST_HORIZON, _USUAL_HORIZON = 24, 12


def demo(
    data: Annotated[Path | None, typer.Option(help=r"CSV or Parquet file. \[default: weekly CO2]")] = None,
    target: Annotated[str | None, typer.Option(help=r"Column to forecast. \[default: y, or guessed]")] = None,
    freq: Annotated[str | None, typer.Option(help=r"Step between rows. \[default: guessed]")] = None,
    horizon: Annotated[int | None, typer.Option(min=1, help=r"Steps ahead. \[default: by frequency]")] = None,
    cell: Annotated[str, typer.Option(help="Recurrent cell: lstm or gru.")] = "lstm",
    max_epochs: Annotated[
        int | None, typer.Option(min=1, help=r"Epochs at most. \[default: train's]")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder for the model and the picture.")] = Path("demo-output"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the scores as JSON; the rest goes to standard error.")
    ] = False,
) -> None:
    """Train, serve, stream, score and draw, on the demonstration series or a file."""
    from rich.console import Console

    from training.errors import DataError
    from training.settings import SettingsError

    file = sys.stderr if as_json else sys.stdout
    console = Console(file=file, width=None if file.isatty() else 100)
    given = {"target": target, "freq": freq, "horizon": horizon, "cell": cell, "max_epochs": max_epochs}
    try:
        known: dict[str, object] = {name: value for name, value in given.items() if value is not None}
        found = _run(data, known, output, console)
    except (DataError, SettingsError) as error:
        print(f"statecast demo: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if as_json:
        print(json.dumps(found))


def _run(data: Path | None, given: dict[str, object], output: Path, console: "Console") -> dict[str, Any]:
    from cli.demo_score import print_score, score_of
    from training.dataset import read_dataset

    output.mkdir(parents=True, exist_ok=True)
    settings = _settings(data or _demonstration_file(output), given, output)
    dataset = read_dataset(settings)
    held_out = {one.id: _num_held_out(one, settings.horizon) for one in dataset.series}
    history = _write_history(dataset, held_out, settings, output / "history.csv")
    from training.train import train  # brings torch and Lightning, once the file is known to be good

    console.rule(f"1. train on all but the last rows of {settings.data}")
    published = train(settings.model_copy(update={"data": history}), progress=sys.stderr.isatty())
    console.print(f"wrote {published.path} (parity with torch: {published.manifest.parity_error:.1e})")
    console.rule("2. serve it")
    streamed = {}
    with _server(settings.repository) as address:
        console.print(f"statecast serve --repository {settings.repository} is up at {address}")
        console.rule("3. stream the held-out rows, one by one")
        for one in dataset.series[:_MOST_SERIES]:
            streamed[one.id] = _stream(address, one, held_out[one.id], console)
    console.rule("4. score")
    score = score_of(streamed.values(), settings.horizon)
    print_score(score, settings.cell, console)
    picture = output / "forecast.png"
    _draw(streamed, f"{settings.target}: {score.title}", settings.target, picture)
    console.print(f"picture: {picture}")
    return {"model": str(published.path), "picture": str(picture), **asdict(score)}


def _demonstration_file(output: Path) -> Path:
    from training.demonstration import co2_weekly

    path = output / "co2.csv"
    co2_weekly().to_csv(path, index=False)
    return path


def _settings(data: Path, given: dict[str, object], output: Path) -> "TrainSettings":
    from models.frequency import Frequency, FrequencyError
    from training.layout import guess_layout
    from training.settings import SettingsError, TrainSettings

    guessed = vars(guess_layout(data)) | given
    try:
        season = Frequency.parse(str(guessed["freq"])).season_length
    except FrequencyError as error:
        raise SettingsError(str(error)) from error
    horizon = season if 1 < season <= _LONGEST_HORIZON else _USUAL_HORIZON
    fixed = {"data": data, "output": output / "repository" / _MODEL}
    return TrainSettings.build({"horizon": horizon, **guessed, **fixed})


def _num_held_out(one: "SeriesData", horizon: int) -> int:
    return max(min(_HELD_OUT, int(len(one.times) * _HELD_OUT_SHARE)), 2 * horizon)


def _write_history(
    dataset: "Dataset", held_out: dict[str, int], settings: "TrainSettings", path: Path
) -> Path:
    import pandas as pd

    parts = []
    for one in dataset.series:
        known = slice(0, max(len(one.times) - held_out[one.id], 0))
        part = pd.DataFrame(one.values[known], columns=list(dataset.features))
        part.insert(0, settings.time_column, one.times[known])
        part.insert(0, settings.id_column, one.id)
        parts.append(part)
    pd.concat(parts).to_csv(path, index=False)
    return path


@contextlib.contextmanager
def _server(repository: Path) -> Iterator[str]:
    """A server on a free port for as long as the block runs; gives its address."""
    command = [sys.executable, "-m", "cli", "serve", "--repository", str(repository)]
    command += ["--address", "127.0.0.1:0", "--log-format", "json", "--store", "memory:"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                entry = json.loads(line) if line.startswith("{") else {}
                if entry.get("event") == "serving":
                    yield entry["address"]
                    return
                print(line, end="", file=sys.stderr)
            raise SystemExit(process.wait())
        finally:
            process.terminate()


def _stream(address: str, one: "SeriesData", num_held_out: int, console: "Console") -> "Streamed":
    """Observe the history at once, then stream the held-out rows and print what was forecast for each."""
    import numpy as np

    import statecast
    from training.picture import Streamed
    from training.scores import seasonal_naive

    start = len(one.times) - num_held_out
    with statecast.Client(address) as client:
        model = client.model(_MODEL)
        session = client.session(model, one.id)
        before = session.forecast(one.values[:start], one.times[:start]).forecast
        console.print(f"[bold]{one.id}[/bold]: {start} rows of history observed, then row by row:")
        forecasts = []
        for row in range(start, len(one.times)):
            _print_row(one, row, before, console)
            before = session.forecast(one.values[row], one.times[row : row + 1]).forecast
            forecasts.append(before.values)
    naive = seasonal_naive(one.target, model.horizon, model.season_length)[start:]
    return Streamed(one.times, one.target, start, np.array(forecasts), naive, model.quantile_levels)


def _print_row(one: "SeriesData", row: int, forecast: "Forecast", console: "Console") -> None:
    """What was forecast for a row one step before it came, beside what came."""
    import numpy as np

    came, (lower, *_, upper) = one.target[row], forecast.values[0]
    middle = forecast.values[0][len(forecast.quantile_levels) // 2]
    if np.isnan(came):
        verdict, shown = "missing", "-"
    else:
        verdict, shown = ("inside" if lower <= came <= upper else "outside"), f"{came:.6g}"
    time = np.datetime_as_string(one.times[row], unit="m")
    console.print(
        f"  {time}  forecast {middle:>10.6g}  [{lower:.6g} .. {upper:.6g}]  came {shown:>10}  {verdict}",
        highlight=False,
        markup=False,
    )


def _draw(streamed: "dict[str, Streamed]", title: str, target: str, path: Path) -> None:
    from training.picture import draw

    name, first = next(iter(streamed.items()))
    draw(first, f"{name}, {title}", target, path)
