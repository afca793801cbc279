"""`statecast tokens`."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli.advice import on_file

tokens = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)


class Role(StrEnum):
    """What the bearer may do."""

    PREDICT = "predict"
    OPERATE = "operate"


@tokens.callback()
def _root() -> None:
    """Typer makes a group only of an app that has a callback or several commands."""


@tokens.command()
def new(
    file: Annotated[Path, typer.Argument(help="The file that --tokens names; it gets the token's hash.")],
    tenant: Annotated[str, typer.Option(help="Whose sessions the bearer sees.")],
    role: Annotated[Role, typer.Option(help="What the bearer may do.")] = Role.PREDICT,
) -> None:
    """Make a token: it is printed, once; its hash goes to FILE, which a running server reads again."""
    from service.security import caller, token_file

    if not caller.is_name(tenant):
        expected = "1 to 64 letters, digits, dots, dashes, underscores or @"
        print(f"statecast tokens new: --tenant: expected {expected}, found {tenant!r}", file=sys.stderr)
        raise SystemExit(2)
    token = token_file.new_token()
    try:
        _add(file, token_file.entry_of(token, tenant, caller.Role(role)))
    except OSError as error:
        next_step = "name a file in a folder that is there and can be written"
        print(f"statecast tokens new: {on_file(error, file, next_step)}", file=sys.stderr)
        raise SystemExit(2) from None
    print(token)


def _add(file: Path, entry: str) -> None:
    try:
        before = file.read_text("utf-8")
    except FileNotFoundError:
        file.touch(mode=0o600, exist_ok=False)
        before = "# Hashes of tokens; `statecast tokens new` adds one.\n"
    file.write_text(f"{before.rstrip()}\n\n{entry}", "utf-8")
