"""`statecast stream`."""

import contextlib
import io
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection import Connection, connects

if TYPE_CHECKING:
    from cli.forecast_output import Output
    from cli.observations import Observation
    from statecast import Client, ForecastResult, PendingFrame, Stream
    from statecast.rows import ReplyName

# Rows of a file that may be on their way at once; a pipe's go one by one, each answered before the next is
# read.
_FILE_DEPTH = 32
_HERE = Connection()


class RowRefused(ValueError):
    """A row that the server did not take."""

    def __init__(self, line: int, reason: Exception) -> None:
        self.line, self.reason = line, reason
        super().__init__(f"line {line}: {reason}")


class Reply(StrEnum):
    """Which forecasts to print."""

    EACH = "each"
    LAST = "last"
    NONE = "none"


@connects
def stream(
    data: Annotated[str, typer.Option(help="CSV file, or - for a pipe.")],
    model: Annotated[str | None, typer.Option(help="Model name; needless where only one is served.")] = None,
    connection: Connection = _HERE,
    session: Annotated[
        str | None, typer.Option(help=r"Session of rows without unique_id. \[default: the file's name]")
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
    json_lines: Annotated[bool, typer.Option("--json", help="Print JSON lines, not a table.")] = False,
    retry_budget_s: Annotated[
        float, typer.Option(min=0, help="Seconds to go on trying when the server is away.")
    ] = 30.0,
) -> None:
    """Send rows to a server and print the forecasts that come back."""
    from statecast import StatecastError, Unanswered

    is_pipe = data == "-"
    session = session or ("stdin" if is_pipe else Path(data).stem)
    try:
        with _lines(data) as lines, connection.client(retry_budget_s=retry_budget_s) as client:
            _stream(client, lines, model, session, reply, horizon, anomalies, json_lines, is_pipe)
    except BrokenPipeError:
        # Whoever read our output has had enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, StatecastError) as error:
        # A file's name belongs to what is wrong with its lines.
        where = ""
        if hasattr(error, "line"):
            where = f"{'stdin' if is_pipe else data}, "
        elif isinstance(error, Unanswered):
            where = f"{connection.server}: "
        print(f"statecast stream: {where}{error}", file=sys.stderr)
        raise SystemExit(2) from None


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


def _stream(
    client: "Client",
    lines: Iterable[str],
    model_name: str | None,
    session_id: str,
    reply: Reply,
    horizon: int | None,
    anomalies: bool,
    json_lines: bool,
    is_pipe: bool,
) -> None:
    from cli.ahead import has_more_to_say, whole_rows
    from cli.forecast_output import JsonLines, Lines
    from cli.observations import read
    from cli.served_model import only_model

    model = client.model(model_name) if model_name else only_model(client)
    observations = read(
        lines,
        [feature.name for feature in model.features],
        session_id,
        [feature.index for feature in model.features],
    )
    if has_more_to_say(model) and not is_pipe:
        observations = whole_rows(observations, model)
    output: Output = JsonLines() if json_lines else Lines(model, anomalies=anomalies)
    num_late, depth = 0, 1 if is_pipe else _FILE_DEPTH
    with client.stream(model, max_frames_in_flight=depth) as stream:
        wanted = _with_replies(observations, reply)
        for observation, result in _results(stream, wanted, horizon, anomalies, depth):
            num_late += result.num_late
            output.show(observation.session_id, observation.time, result)
    if num_late:
        message = f"{num_late} rows were at or before the last time of their session and changed nothing"
        print(f"statecast stream: {message}", file=sys.stderr)


def _results(
    stream: "Stream",
    rows: "Iterable[tuple[Observation, ReplyName]]",
    horizon: int | None,
    anomalies: bool,
    depth: int,
) -> "Iterator[tuple[Observation, ForecastResult]]":
    """Send rows, at most `depth` of them ahead of the result that is waited for.

    Raises:
        RowRefused: by the server; rows sent after it may have been applied.
    """
    waiting: deque[tuple[Observation, PendingFrame]] = deque()
    for observation, wanted in rows:
        times = None if observation.time is None else [observation.time]
        values, sessions = [observation.values], [observation.session_id]
        pending = stream.submit(
            sessions, values, times, reply=wanted, horizon=horizon, score_anomalies=anomalies
        )
        waiting.append((observation, pending))
        if len(waiting) >= depth:
            yield _result(*waiting.popleft())
    while waiting:
        yield _result(*waiting.popleft())


def _result(observation: "Observation", pending: "PendingFrame") -> "tuple[Observation, ForecastResult]":
    from statecast import StatecastError

    result = pending.result().entry(0)
    if isinstance(result, StatecastError):
        raise RowRefused(observation.line, result)
    return observation, result


def _with_replies(
    observations: "Iterable[Observation]", reply: Reply
) -> "Iterator[tuple[Observation, ReplyName]]":
    """Each observation and what to ask for with it, in an order that keeps each series' own."""
    if reply is not Reply.LAST:
        # Each frame is one row: the last forecast of each is a forecast of every row.
        wanted: ReplyName = "none" if reply is Reply.NONE else "last"
        yield from ((observation, wanted) for observation in observations)
        return
    # A row turns out to be its series' last only at the end; until then each is held back by one.
    held: dict[str, Observation] = {}
    for observation in observations:
        if observation.session_id in held:
            yield held[observation.session_id], "none"
        held[observation.session_id] = observation
    yield from ((observation, "last") for observation in held.values())
