"""Sessions on standard output: tables for people, JSON lines for programs."""

import json
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from statecast import SessionInfo

# Away from a terminal nothing says how wide a line may be.
_PIPE_WIDTH = 200


def print_json(info: "SessionInfo | None", **more: Any) -> None:
    """One object on a line of its own."""
    print(json.dumps({**(_fields(info) if info else {}), **more}), flush=True)


def print_table(sessions: "Iterable[SessionInfo]") -> None:
    """A line a session."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("session", overflow="fold")
    for name in ("position", "last time", "version", "place", "last row"):
        table.add_column(name, justify="right" if name in ("position", "version") else "left", no_wrap=True)
    for info in sessions:
        # An id may look like markup.
        table.add_row(
            Text(info.session_id),
            str(info.position),
            _time(info.last_time),
            _version(info),
            info.place,
            _time(info.used_at),
        )
    _print(table)


def print_one(info: "SessionInfo") -> None:
    """What is known of a session, a line each."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in (
        ("session", info.session_id),
        ("model", info.model),
        ("version", _version(info)),
        ("digest", info.model_digest),
        ("position", str(info.position)),
        ("last time", _time(info.last_time)),
        ("last row", _time(info.used_at)),
        ("place", info.place),
    ):
        table.add_row(name, Text(value))
    _print(table)


def _print(table: Any) -> None:
    from rich.console import Console

    Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)


def _fields(info: "SessionInfo") -> dict[str, Any]:
    return {
        "model": info.model,
        "session": info.session_id,
        "version": info.model_version,
        "digest": info.model_digest,
        "position": info.position,
        "last_time": None if info.last_time is None else info.last_time.isoformat(),
        "place": info.place,
        "used_at": info.used_at.isoformat(),
    }


def _time(time: datetime | None) -> str:
    return "-" if time is None else f"{time:%Y-%m-%d %H:%M:%S}"


def _version(info: "SessionInfo") -> str:
    return str(info.model_version) if info.model_version else "not served"
