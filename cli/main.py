"""The `statecast` command: its subcommands, each loaded only when it is called."""

import difflib
import importlib
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import typer
import typer.main
from typer.core import TyperGroup

# How typer's completion scripts call back.
_COMPLETE = "_STATECAST_COMPLETE"
# Name: the module under `cli/`, whose function of that name is the command, or whose typer.Typer of that name
# is a group of them; and what it does.
COMMANDS = {
    "train": "Fit a forecaster on a file of series and publish it to a repository.",
    "tune": "Search for the options that forecast a file of series best.",
    "serve": "Serve a repository of forecasters over gRPC.",
    "stream": "Send rows to a server and print the forecasts that come back.",
    "top": "Watch a server's rows a second, latencies, sessions and versions.",
    "diagnose": "Show how far back a network learns, what its gates do, how long it remembers.",
    "backtest": "Stream a file of series through a model and score its forecasts; report and picture.",
    "inspect": "Print what a model file says of itself.",
    "sessions": "List, show, copy, reset, move and end the sessions of a server.",
    "store": "Check, compact and migrate the file that sessions outlive a server in.",
    "keys": "Make keys that seal the states which callers carry.",
    "tokens": "Make tokens that tell callers, and their tenants, apart.",
    "health": "Ask a server whether it is serving; exits 0 or 1.",
    "demo": "Train, serve, stream, score and draw, on the demonstration series or a file.",
    "demo-data": "Print the demonstration series, weekly CO2, as CSV.",
}


class _LazyGroup(TyperGroup):
    """Lists commands without importing them: torch and gRPC take seconds that `--help` should not."""

    def main(self, *args: Any, **named: Any) -> Any:
        """See click; a Tab comes here as well, and what `--install-completion` installs."""
        with _mended(os.environ.get(_COMPLETE)):
            return super().main(*args, **named)

    def list_commands(self, _ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        return _command(cmd_name, lambda: None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and args[0][:1].isalpha() and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
            ctx.fail(f"No such command {args[0]!r}; {meant}")
        name, command, rest = super().resolve_command(ctx, args)
        if name in COMMANDS:
            module = importlib.import_module(f"cli.{_identifier(name)}")
            command = _command(name, getattr(module, _identifier(name)))
        return name, command, rest


def _mended(completing: str | None) -> AbstractContextManager[None]:
    """What typer prints or installs for a shell, as the shell wants it."""
    if completing == "complete_bash":
        from cli.completion import words_of_bash

        return words_of_bash()
    if completing in ("complete_zsh", "complete_fish"):
        from cli.zsh_and_fish import words_of_fish, words_of_zsh

        return words_of_zsh() if completing == "complete_zsh" else words_of_fish()
    if "--install-completion" in sys.argv[1:2]:
        from cli.zsh_and_fish import first_tab

        return first_tab()
    return nullcontext()


def _identifier(name: str) -> str:
    return name.replace("-", "_")


def _command(name: str, function: Any) -> Any:
    if isinstance(function, typer.Typer):
        function.info.help = COMMANDS[name]
        group = typer.main.get_command(function)
        group.name = name
        return group
    single = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
    single.command(name, help=COMMANDS[name], no_args_is_help=False)(function)
    return typer.main.get_command(single)


app = typer.Typer(
    cls=_LazyGroup,
    help="Streaming, stateful time-series forecasts over gRPC.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@app.callback()
def _root() -> None:
    """Typer makes a group only of an app that has a callback or several commands."""
