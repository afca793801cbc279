"""`statecast store`."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from service.store.maintenance import Checked

# How the exit status tells what happened.
_DAMAGED, _NOT_DONE = 1, 2

File = Annotated[Path, typer.Argument(metavar="FILE", help="What --store names: DATA_DIR/sessions.db.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

store = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
    epilog="The exit status is 0 where all is well, 1 where the file is damaged, "
    "and 2 where nothing was done: wrong arguments, no such file, or a server that has it.",
)


@store.callback()
def _root() -> None:
    """Typer makes a group only of an app that has a callback or several commands."""


@store.command()
def check(
    file: File,
    repair: Annotated[
        bool, typer.Option("--repair", help="Go on without batches of which nobody can tell whose they were.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Read all of a SQLite store and say what is damaged; no server may have it.

    With --repair sessions that lost rows are then refused one by one, rather than all of their model; what is
    printed is how the file stands afterwards.
    """
    from service.store import maintenance

    with _refusals("check", as_json):
        found = maintenance.check(file, repair, _watching)
        if found.num_repaired:
            found = replace(maintenance.check(file, watching=_watching), num_repaired=found.num_repaired)
    if as_json:
        _print_json(file, is_whole=found.is_whole, **asdict(found))
    else:
        print("\n".join(_lines(file, found)))
    if not found.is_whole:
        raise SystemExit(_DAMAGED)


@store.command()
def compact(file: File, as_json: Json = False) -> None:
    """Give the space of ended sessions back to the file system; no server may have the file."""
    from service.store import maintenance
    from training.progress_bar import pulse

    with _refusals("compact", as_json), pulse("compact"):
        done = maintenance.compact(file)
    if as_json:
        _print_json(file, **asdict(done))
    else:
        print(f"{file}: {done.num_bytes_before:,} bytes before, {done.num_bytes_after:,} now")


@store.command()
def migrate(file: File, as_json: Json = False) -> None:
    """Bring a file of an earlier version to the format of this one; no server may have it."""
    from service.store import maintenance
    from training.progress_bar import pulse

    with _refusals("migrate", as_json), pulse("migrate"):
        done = maintenance.migrate(file)
    if as_json:
        _print_json(file, **asdict(done))
    elif done.version_before == done.version_after:
        print(f"{file}: format {done.version_after}, nothing to do")
    else:
        print(f"{file}: format {done.version_before} before, {done.version_after} now")


@contextlib.contextmanager
def _watching(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """See `maintenance.Watching`."""
    from training.progress_bar import progress_bar, pulse

    if total is None:
        with pulse(what):
            yield lambda _: None
    else:
        with progress_bar(what, total, "sessions") as advance:
            yield advance


@contextlib.contextmanager
def _refusals(command: str, as_json: bool) -> Iterator[None]:
    """What goes wrong is one line or object and an exit status; damage may keep a file from opening."""
    from service.errors import StoreRefused, StoreUnavailable

    try:
        yield
    except (StoreRefused, StoreUnavailable) as error:
        is_damaged = _is_damage(error.__cause__)
        if as_json and is_damaged:
            print(json.dumps({"is_whole": False, "damage": [str(error)]}))
        else:
            print(f"statecast store {command}: {error}", file=sys.stderr)
        raise SystemExit(_DAMAGED if is_damaged else _NOT_DONE) from None


def _is_damage(cause: BaseException | None) -> bool:
    import sqlite3

    from service.store.sqlite_records import is_damage

    return isinstance(cause, sqlite3.Error) and is_damage(cause)


def _print_json(file: Path, **fields: Any) -> None:
    print(json.dumps({"file": str(file), **fields}))


def _lines(file: Path, found: "Checked") -> Iterator[str]:
    state = "whole" if found.is_whole else "damaged"
    yield f"{file}: {state}, format {found.version}, {found.num_bytes:,} bytes"
    yield from (f"  {line}" for line in found.damage)
    for model in found.models:
        journal = f"{model.num_journal_rows:,} rows in {model.num_journal_batches:,} batches of the journal"
        yield f"  {model.model}: {model.num_sessions:,} sessions, {journal}"
        if model.num_lost_batches:
            yield f"    the last {model.num_lost_batches:,} batches of the journal are gone"
        yield from (f"    {line}" for line in model.damaged_batches)
        # An id may hold anything.
        yield from (f"    session {session_id!r}: {why}" for session_id, why in model.damaged_sessions)
    if found.num_repaired:
        yield f"  gone on without {found.num_repaired:,} batches"
