"""Tab in a real bash, after `statecast --install-completion`."""

import re
import shutil
from pathlib import Path

import pytest

from tests.completing import path_of, serving_sessions, write_statecast
from tests.terminal import Terminal

BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="no bash here")
# The last is a command to a shell that evaluates what it is given.
SESSIONS = "site:1", "site:2", "mill@7", "two words", "x\\$(touch evaluated)"


@pytest.fixture(scope="module")
def server(repository):
    with serving_sessions(repository, SESSIONS) as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home directory whose .bashrc has what --install-completion wrote, and a `statecast` on the path."""
    path = tmp_path_factory.mktemp("home")
    write_statecast(path)
    with _bash(path, "--norc", "-c", "statecast --install-completion; exit $?") as installing:
        assert installing.end() == 0, installing.shown
    return path


def _bash(home, *arguments):
    rest = {"PS1": "$ ", "INPUTRC": "/dev/null", "HISTFILE": ""}
    variables = {"HOME": str(home), "PATH": path_of(home), **rest}
    return Terminal([BASH, *arguments], cwd=Path.cwd(), columns=200, **variables)


@pytest.fixture(scope="module")
def shell(home):
    with _bash(home, "--rcfile", str(home / ".bashrc"), "-i") as running:
        running.press("PS1='> '; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'\n")
        running.expect(r"\n> $")
        yield running


def _clear(shell):
    """Take away what was typed; bash has its next line before more is."""
    shell.press("\x15\n")
    shell.expect(r"\n> $")


def _completed(shell, line):
    """What stands there after `line` and a Tab, up to a mark that is typed after it."""
    shell.press(f"{line}\t")
    shell.press("|")
    found = shell.expect(re.escape(line[:12]) + r".*\|$")
    _clear(shell)
    return found.split("> ")[-1].rpartition("|")[0]


def _listed(shell, line):
    """What bash lists after two Tabs, where several would do."""
    shell.press(f"{line}\t\t")
    shell.press("|")
    found = shell.expect(r"\n> .*\|$")
    _clear(shell)
    return set(found.split("\n> ")[0].replace("\n", "  ").split("  ")) - {"", line}


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        ("statecast str", "statecast stream "),
        ("statecast sessions for", "statecast sessions fork "),
        ("statecast stream --reply l", "statecast stream --reply last "),
        ("statecast train --cell peep", "statecast train --cell peephole "),
        ("statecast train --precision=bf", "statecast train --precision=bf16-mixed "),
        ("statecast top --on", "statecast top --once "),
    ],
)
def test_commands_options_and_their_values(shell, line, whole):
    """What there is one of is typed out; what there are several of waits for more."""
    assert _completed(shell, line) == whole


def test_names_of_a_running_server(shell, server):
    """Models, and sessions of a model, of the server that stands on the line; what bash splits is whole."""
    at = f"statecast sessions show --server {server.address} --model"
    assert _completed(shell, f"{at} g") == f"{at} gru "
    assert _completed(shell, f"{at} gru mi") == f"{at} gru mill@7 "
    assert _completed(shell, f"{at} gru two\\ w") == f"{at} gru two\\ words "
    assert _completed(shell, f"{at} gru s") == f"{at} gru site:"
    assert _completed(shell, f"{at} gru x") == f"{at} gru x\\\\\\$\\(touch\\ evaluated\\) "
    assert not Path("evaluated").exists()
    assert _completed(shell, f"{at}=gr") == f"{at}=gru "


def test_several_sessions_are_listed(shell, server):
    """Two Tabs list them; those that stand on the line already are left out."""
    at = f"statecast sessions rm --server {server.address} --model gru"
    assert _listed(shell, f"{at} site:") == {"1", "2"}
    assert _completed(shell, f"{at} site:1 s") == f"{at} site:1 site:2 "


def test_a_server_that_is_not_there_says_nothing(shell):
    """No message comes into the line that somebody types."""
    line = "statecast sessions show --server 127.0.0.1:1 --model gru met"
    assert _completed(shell, line) == line
