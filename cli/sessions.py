"""`statecast sessions`."""

import base64
import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.completion import session_ids
from cli.connection import Connection, ModelName, connects

if TYPE_CHECKING:
    from statecast import SessionInfo, Sessions, StatecastError

# How the exit status tells what happened.
_REFUSED, _NOT_ASKED = 1, 2

Json = Annotated[bool, typer.Option("--json", help="Print JSON, an object a line.")]
Ids = Annotated[
    list[str], typer.Argument(metavar="SESSION", help="Ids of sessions.", autocompletion=session_ids)
]
Id = Annotated[str, typer.Argument(metavar="SESSION", help="The session's id.", autocompletion=session_ids)]
Prefix = Annotated[str, typer.Argument(help="Only sessions whose id begins so.", autocompletion=session_ids)]
_RETRY_BUDGET_S = 3.0
_HERE = Connection()

sessions = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
    epilog="The exit status is 0 where all was done, 1 where the server refused, "
    "and 2 where it could not be asked: wrong arguments, a file, no answer.",
)


@sessions.command()
@connects
def ls(
    prefix: Prefix = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Sessions at most. [default: all]")] = None,
    model: ModelName = None,
    connection: Connection = _HERE,
    as_json: Json = False,
) -> None:
    """List sessions."""
    from cli.sessions_output import print_json, print_table

    with _served("ls", connection, model) as served:
        found = itertools.islice(served.list(prefix), limit)
        if not as_json:
            print_table(found)
            return
        for info in found:
            print_json(info)


@sessions.command()
@connects
def show(session: Id, model: ModelName = None, connection: Connection = _HERE, as_json: Json = False) -> None:
    """Print what is known of a session."""
    from cli.sessions_output import print_json, print_one

    with _served("show", connection, model) as served:
        (print_json if as_json else print_one)(served.get(session))


@sessions.command()
@connects
def fork(
    session: Id,
    copy: Annotated[str, typer.Argument(help="The copy's id.")],
    model: ModelName = None,
    connection: Connection = _HERE,
    as_json: Json = False,
) -> None:
    """Copy a session, to ask "what if" of the copy; the original stays as it is."""
    with _served("fork", connection, model) as served:
        _tell(served.fork(session, copy), as_json, f"copied {session} to {copy}")


@sessions.command()
@connects
def reset(ids: Ids, model: ModelName = None, connection: Connection = _HERE, as_json: Json = False) -> None:
    """Put sessions back to their beginning."""
    with _served("reset", connection, model) as served:
        _each("reset", ids, lambda name: _tell(served.reset(name), as_json, f"reset {name}"))


@sessions.command()
@connects
def export(
    session: Id,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write. [default: standard output]")
    ] = None,
    model: ModelName = None,
    connection: Connection = _HERE,
    as_json: Json = False,
) -> None:
    """Write a session's state to a file, to keep or to move; the session goes on."""
    if output is None and not as_json and sys.stdout.isatty():
        _fail("export", "the state is not for a terminal; name a file with --output FILE", _NOT_ASKED)
    with _served("export", connection, model) as served:
        exported = served.export(session)
    if output is not None:
        with _files("export", "name a file in a folder that can be written, with --output"):
            _write(output, exported)
        _tell(None, as_json, f"exported {session} to {output}", session=session, file=str(output))
    elif as_json:
        _tell(None, True, "", session=session, exported=base64.b64encode(exported).decode())
    else:
        sys.stdout.buffer.write(exported)
        sys.stdout.buffer.flush()


@sessions.command("import")
@connects
def import_(
    file: Annotated[str, typer.Argument(help="A file that export wrote, or - for a pipe.")],
    session: Annotated[
        str | None, typer.Option("--as", help="Its id here. [default: the one it had]")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a session that has the id.")
    ] = False,
    model: ModelName = None,
    connection: Connection = _HERE,
    as_json: Json = False,
) -> None:
    """Open a session from a file that export wrote."""
    with _files("import", "name a file that `statecast sessions export` wrote, or - for a pipe"):
        exported = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        name = session if session is not None else _id_of(file, exported)
    with _served("import", connection, model) as served:
        _tell(served.import_(name, exported, overwrite=overwrite), as_json, f"imported {file} as {name}")


@sessions.command()
@connects
def rm(ids: Ids, model: ModelName = None, connection: Connection = _HERE, as_json: Json = False) -> None:
    """End sessions: the server forgets their states."""
    with _served("rm", connection, model) as served:
        _each("rm", ids, lambda name: _tell(served.delete(name), as_json, f"ended {name}", session=name))


@sessions.command()
@connects
def watch(
    prefix: Prefix = "", model: ModelName = None, connection: Connection = _HERE, as_json: Json = False
) -> None:
    """Print what happens to sessions beside their rows, from now on, until it is interrupted."""
    from cli.sessions_output import print_json

    with _served("watch", connection, model) as served, contextlib.suppress(KeyboardInterrupt):
        for event in served.watch(prefix):
            if as_json:
                print_json(event.session, event=event.kind, num_missed=event.num_missed)
                continue
            if event.num_missed:
                print(f"statecast sessions watch: {event.num_missed} events were missed", file=sys.stderr)
            print(
                f"{event.kind} {event.session.session_id}, at position {event.session.position}", flush=True
            )


@contextlib.contextmanager
def _served(command: str, connection: Connection, model: str | None) -> "Iterator[Sessions]":
    """The sessions of a model; whatever goes wrong is one line and an exit status."""
    from cli.advice import on_refusal
    from cli.served_model import only_model
    from statecast import StatecastError, Unanswered

    try:
        with connection.client(retry_budget_s=_RETRY_BUDGET_S) as client:
            yield client.sessions(model or only_model(client))
    except BrokenPipeError:
        # Whoever read our output has had enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Unanswered as error:
        _fail(command, f"{connection.server}: {error}{on_refusal(error)}", _NOT_ASKED)
    except StatecastError as error:
        _fail(command, f"{error}{_advice(command, error)}", _REFUSED)
    except (OSError, ValueError) as error:
        _fail(command, str(error), _NOT_ASKED)


def _each(command: str, ids: list[str], act: Callable[[str], None]) -> None:
    """Each on its own; those that are refused are told, and the others are done."""
    from statecast import StatecastError, Unanswered

    status = 0
    for session_id in ids:
        try:
            act(session_id)
        except Unanswered:
            raise
        except StatecastError as error:
            print(f"statecast sessions {command}: {error}{_advice(command, error)}", file=sys.stderr)
            status = _REFUSED
    if status:
        raise SystemExit(status)


def _advice(command: str, error: "StatecastError") -> str:
    """What to do next, where that is known."""
    from cli.advice import on_refusal
    from statecast import AlreadyExists, DataLoss, SessionMismatch

    match error:
        case AlreadyExists() if command == "import":
            return "; --overwrite replaces it, --as ID takes another id"
        case AlreadyExists():
            return "; take another id, or end it first with `statecast sessions rm`"
        case DataLoss() if command == "import":
            return "; export it again"
        case SessionMismatch() if command == "import":
            return "; import it where that model file is served"
    return on_refusal(error)


def _tell(info: "SessionInfo | None", as_json: bool, words: str, **more: str) -> None:
    from cli.sessions_output import print_json

    if as_json:
        print_json(info, **more)
    else:
        print(words + (f", at position {info.position}" if info else ""), flush=True)


@contextlib.contextmanager
def _files(command: str, next_step: str) -> Iterator[None]:
    from cli.advice import on_file

    try:
        yield
    except OSError as error:
        _fail(command, on_file(error, "standard input", next_step), _NOT_ASKED)
    except ValueError as error:
        _fail(command, str(error), _REFUSED)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def _id_of(file: str, exported: bytes) -> str:
    from google.protobuf.message import DecodeError

    from statecast.v1 import session_pb2

    try:
        found = session_pb2.ExportedSession.FromString(exported).session_id
    except DecodeError:
        found = ""
    if not found:
        raise ValueError(f"{file}: not a session that was exported; export it again")
    return str(found)


def _fail(command: str, words: str, status: int) -> None:
    print(f"statecast sessions {command}: {words}", file=sys.stderr)
    raise SystemExit(status) from None
