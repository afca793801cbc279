"""`statecast keys`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.advice import on_file

keys = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)


@keys.callback()
def _root() -> None:
    """Typer makes a group only of an app that has a callback or several commands."""


@keys.command()
def new(
    file: Annotated[
        Path | None, typer.Argument(help="The file of keys that --seal-keys names; without it, print.")
    ] = None,
) -> None:
    """Make a key that seals the states which callers carry themselves.

    In a new FILE it seals. In one that has keys it comes last, which only opens: when every server's file has
    it, move it to the top, and it seals. Drop an old key when no state that it sealed is to be opened any
    more. Servers read their file again by themselves.
    """
    from service.sessions.seal_keys import new_key

    if file is None:
        print(new_key())
        return
    try:
        _add(file, new_key())
    except OSError as error:
        next_step = "name a file in a folder that is there and can be written"
        print(f"statecast keys new: {on_file(error, file, next_step)}", file=sys.stderr)
        raise SystemExit(2) from None


def _add(file: Path, key: str) -> None:
    try:
        before = file.read_text()
    except FileNotFoundError:
        # Nobody else may read it, from its first moment on.
        file.touch(mode=0o600, exist_ok=False)
        before = "# One key a line: the first seals, all open.\n"
    separator = "" if before.endswith("\n") or not before else "\n"
    file.write_text(f"{before}{separator}{key}\n")
