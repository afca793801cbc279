"""`statecast backtest`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cli.advice import on_data, on_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from models.manifest import Manifest
    from training.backtesting.result import Backtest
    from training.dataset import SeriesData


def backtest(
    model: Annotated[Path, typer.Argument(help="A model.onnx, or a model's directory: its highest version.")],
    data: Annotated[Path, typer.Option(help="CSV or Parquet file in the layout of `train`.")],
    start: Annotated[
        str | None,
        typer.Option(
            help="Where the judged part of each series begins: a time, or the share of rows before it. "
            r"\[default: after the rows that the model was trained on; 0.9 where there are too few]"
        ),
    ] = None,
    stride: Annotated[int, typer.Option(min=1, help="A forecast every so many rows.")] = 1,
    horizon: Annotated[int | None, typer.Option(min=1, help=r"Steps ahead to judge. \[default: all]")] = None,
    season_length: Annotated[
        int | None, typer.Option(min=1, help=r"Of seasonal naive and of MASE. \[default: the model's]")
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(help=r"Interval of coverage and MSIS, as 0.1,0.9. \[default: the model's outermost]"),
    ] = None,
    baselines: Annotated[
        str, typer.Option(metavar="quick|all", help="all: those too that take seconds for each series.")
    ] = "quick",
    id_column: Annotated[str | None, typer.Option(help=r"Names the series. \[default: unique_id]")] = None,
    time_column: Annotated[
        str | None, typer.Option(help=r"Of times. \[default: ds, or the first of dates]")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help=r"Stands for the model's target. \[default: its name]")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write a page of HTML here.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Write a PNG here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything found as JSON.")] = False,
) -> None:
    """Stream a file of series through a model and score its forecasts; report and picture."""
    if baselines not in ("quick", "all"):
        _fail(f"baselines: expected quick or all, found {baselines!r}")
    try:
        from models.artifact import ArtifactError, unseal
        from training.backtesting.data import series_for
        from training.backtesting.judging import Judging, parse_interval, parse_start
        from training.backtesting.run import backtest as run
        from training.errors import DataError
        from training.settings import SettingsError
    except ModuleNotFoundError as error:
        _fail(f"{error.name} is not installed; a backtest needs: pip install 'statecast-server[train]'")
    try:
        content = _newest(model).read_bytes()
        _, manifest = unseal(content)
        series = series_for(manifest, data, id_column=id_column, time_column=time_column, target=target)
        judging = Judging(
            start=parse_start(start) if start else _default_start(manifest, series),
            stride=stride,
            horizon=horizon,
            season_length=season_length,
            interval=parse_interval(levels) if levels else None,
        )
        found = run(content, series, judging, fitted=baselines == "all", progress=sys.stderr.isatty())
        _check_judged(found, data, series)
    except OSError as error:
        _fail(
            on_file(error, model, "name a model.onnx, or REPOSITORY/MODEL; --data names the file of series")
        )
    except ArtifactError as error:
        _fail(f"{model}: {error}; `statecast train` writes those that have a manifest")
    except DataError as error:
        _fail(f"{error}{on_data(error)}")
    except SettingsError as error:
        _fail(str(error))
    _write(content, series, found, report, picture)
    if as_json:
        print(json.dumps(found.as_json(), indent=2, allow_nan=False))
    else:
        _print(found, manifest)


def _fail(message: str) -> NoReturn:
    print(f"statecast backtest: {message}", file=sys.stderr)
    raise SystemExit(2) from None


def _newest(model: Path) -> Path:
    from cli.inspect import newest_file

    return newest_file(model)


def _default_start(manifest: "Manifest", series: "Sequence[SeriesData]") -> "np.datetime64 | None":
    """After the model's training data, where a whole forecast lies there; else each series' last tenth."""
    import numpy as np

    last = np.datetime64(manifest.training.last_time.replace(tzinfo=None), "us")
    if any((one.times > last).sum() >= manifest.horizon for one in series):
        return last + np.timedelta64(1, "us")
    return None


def _check_judged(found: "Backtest", data: Path, series: "Sequence[SeriesData]") -> None:
    from training.errors import DataError

    if not found.num_forecasts:
        longest = max(series, key=lambda one: len(one.times))
        raise DataError(
            data,
            expected=f"a series with {found.num_steps} rows or more from the start of the judged part on",
            found=f"none; the longest, {longest.id!r}, has {len(longest.times)} rows to {longest.times[-1]}",
        )


def _write(
    content: bytes,
    series: "Sequence[SeriesData]",
    found: "Backtest",
    report: Path | None,
    picture: Path | None,
) -> None:
    if report is None and picture is None:
        return
    from training.backtesting.fans import fans_of
    from training.backtesting.picture import draw_picture
    from training.backtesting.report import write_report

    fans = fans_of(content, series, found)
    for path in (report, picture):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
    if report is not None:
        write_report(found, fans, report)
    if picture is not None:
        draw_picture(found, fans, picture)


def _print(found: "Backtest", manifest: "Manifest") -> None:
    from rich.console import Console

    from cli.scores import score_table

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    title = (
        f"{manifest.name}: {found.num_forecasts} forecasts of {found.num_steps} steps, "
        f"{len(found.by_series)} series, {_shown(found.first_time)} to {_shown(found.last_time)}"
    )
    console.print(score_table(found.scores, title))
    if found.interval is not None and "coverage" in found.scores:
        lower, upper = found.intervals[found.interval]
        console.print(
            f"{found.scores['coverage']:.1%} of what came lay between the {lower:g} and {upper:g} quantiles, "
            f"where {upper - lower:.0%} should"
        )
    if found.unjudged:
        console.print(f"{len(found.unjudged)} series are too short to be judged")
    last = manifest.training.last_time.replace(tzinfo=None)
    if found.first_time is not None and found.first_time <= _as_time(last):
        console.print(
            f"the model was trained on rows up to {last} UTC: it may have seen some of what it is judged by"
        )


def _shown(time: "np.datetime64 | None") -> str:
    import numpy as np

    return np.datetime_as_string(time, unit="m").replace("T", " ") if time is not None else "-"


def _as_time(time: object) -> "np.datetime64":
    import numpy as np

    return np.datetime64(time, "us")  # type: ignore[call-overload, no-any-return]
