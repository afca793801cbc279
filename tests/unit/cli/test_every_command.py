"""What holds for every command, those that are still to be written too."""

import subprocess
import sys

import pytest
import typer.main

from cli.main import COMMANDS, app

# Why these print no JSON.
WITHOUT_JSON = {
    "serve": "it runs until it is stopped; --log-format json has what it says",
    "demo-data": "it prints CSV",
    "keys new": "it prints a key alone",
    "tokens new": "it prints a token alone",
}
# What imports in seconds, and is for those who train or serve.
HEAVY = (
    "torch",
    "lightning",
    "pandas",
    "onnx",
    "onnxruntime",
    "grpc",
    "numpy",
    "plotille",
    "prometheus_client",
)


def _leaves():
    """Every command by the words that call it."""
    root = typer.main.get_command(app)
    found = {}
    for name in COMMANDS:
        _, command, _ = root.resolve_command(typer.Context(root), [name])
        if hasattr(command, "commands"):
            found |= {f"{name} {inner}": each for inner, each in command.commands.items()}
        else:
            found[name] = command
    return found


LEAVES = _leaves()


@pytest.mark.parametrize("words", LEAVES)
def test_what_a_command_prints_is_also_json(words):
    """Each takes --json, but for those that say why not."""
    options = {option for parameter in LEAVES[words].params for option in parameter.opts}
    assert ("--json" in options) == (words not in WITHOUT_JSON)


@pytest.mark.parametrize("words", LEAVES)
def test_every_option_says_what_it_does(words):
    """--help has a line for each, and the command one for itself."""
    command = LEAVES[words]
    assert command.help
    assert not [parameter.name for parameter in command.params if not getattr(parameter, "help", None)]


def test_the_reasons_are_of_commands_there_are():
    """A command that is gone leaves no reason behind."""
    assert set(WITHOUT_JSON) <= set(LEAVES)


def test_help_imports_nothing_that_takes_long():
    """The list of commands comes at once; so does what a Tab after `statecast` shows."""
    code = f"""
import sys
from typer.testing import CliRunner
from cli.main import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
print(*[name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == ""
