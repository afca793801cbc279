"""`statecast stream`."""

import contextlib
import io
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.completion import session_ids
from cli.connection import Connection, ModelName, connects
from cli.sending import Reply, send

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cli.forecast_output import Output
    from statecast import Client, Model
    from training.progress_bar import Advance

# Rows of a file that may be on their way at once; a pipe's go one by one, each answered before the next is
# read.
_FILE_DEPTH = 32
_HERE = Connection()


@dataclass(frozen=True)
class _Asked:
    """What to send and what to show of it."""

    data: str
    model: str | None
    session: str
    reply: Reply
    horizon: int | None
    anomalies: bool
    plot: bool
    json_lines: bool

    @property
    def is_pipe(self) -> bool:
        return self.data == "-"


@connects
def stream(
    data: Annotated[str, typer.Option(help="CSV file, or - for a pipe.")],
    model: ModelName = None,
    connection: Connection = _HERE,
    session: Annotated[
        str | None,
        typer.Option(
            help=r"Session of rows without unique_id. \[default: the file's name]", autocompletion=session_ids
        ),
    ] = None,
    reply: Annotated[
        Reply, typer.Option(help="A forecast after each row, after the last one of a series, or none.")
    ] = Reply.EACH,
    horizon: Annotated[
        int | None, typer.Option(min=1, help=r"Steps ahead. \[default: all the model has]")
    ] = None,
    anomalies: Annotated[
        bool, typer.Option("--anomalies", help="Print each row's anomaly scores, if the model has any.")
    ] = False,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw the rows and the newest forecast, not a table.")
    ] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="Print JSON lines, not a table.")] = False,
    retry_budget_s: Annotated[
        float, typer.Option(min=0, help="Seconds to go on trying when the server is away.")
    ] = 30.0,
) -> None:
    """Send rows to a server and print the forecasts that come back."""
    from statecast import StatecastError

    is_pipe = data == "-"
    session = session or ("stdin" if is_pipe else Path(data).stem)
    asked = _Asked(data, model, session, reply, horizon, anomalies, plot, json_lines)
    try:
        with _lines(data) as lines, connection.client(retry_budget_s=retry_budget_s) as client:
            _stream(client, lines, asked)
    except BrokenPipeError:
        # Whoever read our output has had enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, StatecastError) as error:
        print(f"statecast stream: {_explained(error, asked, connection.server)}", file=sys.stderr)
        raise SystemExit(2) from None


def _explained(error: Exception, asked: _Asked, server: str) -> str:
    """What was wrong, where, and what to do next."""
    from cli.advice import on_file, on_refusal
    from cli.sending import RowRefused
    from statecast import StatecastError, Unanswered

    if isinstance(error, OSError) and error.filename:
        return on_file(error, asked.data, "--data names a CSV file, or - for a pipe")
    refusal = error.reason if isinstance(error, RowRefused) else error
    next_step = on_refusal(refusal) if isinstance(refusal, StatecastError) else ""
    # A file's name belongs to what is wrong with its lines.
    where = ""
    if hasattr(error, "line"):
        where = f"{'stdin' if asked.is_pipe else asked.data}, "
    elif isinstance(error, Unanswered):
        where = f"{server}: "
    return f"{where}{error}{next_step}"


@contextlib.contextmanager
def _lines(data: str) -> Iterator[Iterable[str]]:
    # The byte-order mark that spreadsheets write is not part of the first column's name.
    if data == "-":
        # Taken apart again at the end: the process's standard input is not ours to close.
        text = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline="")
        try:
            yield text
        finally:
            text.detach()
    else:
        with Path(data).open(encoding="utf-8-sig", newline="") as file:
            yield file


def _stream(client: "Client", lines: Iterable[str], asked: _Asked) -> None:
    from cli.ahead import has_more_to_say, whole_rows
    from cli.observations import read
    from cli.served_model import only_model

    model = client.model(asked.model) if asked.model else only_model(client)
    observations = read(
        lines,
        [feature.name for feature in model.features],
        asked.session,
        [feature.index for feature in model.features],
    )
    if has_more_to_say(model) and not asked.is_pipe:
        observations = whole_rows(observations, model)
    output = _output(model, asked)
    num_late, depth = 0, 1 if asked.is_pipe else _FILE_DEPTH
    with client.stream(model, max_frames_in_flight=depth) as stream, _progress(asked) as advance:
        results = send(
            stream,
            observations,
            asked.reply,
            horizon=asked.horizon,
            anomalies=asked.anomalies,
            depth=depth,
        )
        try:
            for observation, result in results:
                num_late += result.num_late
                output.show(observation, result)
                advance(1)
        finally:
            output.close()
    if num_late:
        message = f"{num_late} rows were at or before the last time of their session and changed nothing"
        print(f"statecast stream: {message}", file=sys.stderr)


def _output(model: "Model", asked: _Asked) -> "Output":
    from cli.forecast_output import JsonLines, Lines

    if asked.plot:
        from cli.forecast_plot import Plot, check_drawable

        others = {"--json": asked.json_lines, "--reply none": asked.reply is Reply.NONE}
        check_drawable(model, [name for name, is_given in others.items() if is_given])
        return Plot(model)
    return JsonLines() if asked.json_lines else Lines(model, anomalies=asked.anomalies)


def _progress(asked: _Asked) -> "AbstractContextManager[Advance]":
    """A bar over a file's rows, where what is printed does not show by itself how far they are."""
    from training.progress_bar import progress_bar

    is_seen = sys.stdout.isatty() and (asked.plot or asked.reply is Reply.EACH)
    is_shown = not asked.is_pipe and not is_seen
    return progress_bar("rows", _num_lines(Path(asked.data)) if is_shown else None, "rows", is_shown=is_shown)


def _num_lines(path: Path) -> int | None:
    """Lines after the header; None of what can be read only once."""
    if not path.is_file() or not sys.stderr.isatty():
        return None
    with path.open("rb") as file:
        return max(sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b"")) - 1, 0)
