"""Tab in a real zsh and a real fish, after `statecast --install-completion`; bash: test_completion.py."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.completing import path_of, serving_sessions, write_statecast
from tests.missing import missing
from tests.server_process import clean_environment
from tests.terminal import Terminal

# The last is a command to a shell that evaluates what it is given.
COMMAND = "x\\$(touch evaluated)"
SESSIONS = "site:1", "site:2", "mill@7", "two words", "quo'te", COMMAND
WORDS = [
    ("statecast str", "stream"),
    ("statecast sessions for", "fork"),
    ("statecast stream --reply l", "last"),
    ("statecast train --cell peep", "peephole"),
    ("statecast top --on", "--once"),
]


@pytest.fixture(scope="module")
def server(repository):
    with serving_sessions(repository, SESSIONS) as running:
        yield running


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """`installed("zsh")`: the shell, and variables of somebody who has installed completion in it."""

    def install(name):
        shell = shutil.which(name)
        if shell is None:
            missing(f"no {name}: Debian's package {name} has it")
        home = tmp_path_factory.mktemp(name)
        write_statecast(home)
        variables = {"HOME": str(home), "PATH": path_of(home), "PYTHONPATH": _python_path()}
        bare = ["--no-config"] if name == "fish" else ["-f"]
        # A last command would take the place of the shell, which is asked for by its name.
        command = "statecast --install-completion; exit $status"
        with Terminal([shell, *bare, "-c", command], **variables) as installing:
            assert installing.end() == 0, installing.shown
        return shell, variables

    return install


def _python_path():
    """Somebody presses Tab in any folder."""
    return os.pathsep.join([str(Path.cwd()), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


@pytest.fixture(scope="module")
def zsh(installed, tmp_path_factory):
    shell, variables = installed("zsh")
    folder = tmp_path_factory.mktemp("where-zsh-is")
    (folder / "Rows.csv").write_text("1\n")
    with Terminal([shell, "-i"], cwd=folder, columns=200, **variables) as running:
        running.press(
            "PS1='> '; unsetopt prompt_sp; unset zle_bracketed_paste; zstyle ':completion:*' menu no; : ok\n"
        )
        running.expect(r": ok\n+> $")
        yield running, folder


def _in_zsh(shell, line):
    """What stands there after `line` and a Tab."""
    shell.press(f"{line}\t")
    shell.press("|")
    found = shell.expect(r"\|$").replace("\x08", "")
    shell.press("\x15: next\n")
    shell.expect(r": next\n+> $")
    return found[found.index("statecast") :].rpartition("|")[0]


@pytest.mark.parametrize(
    ("line", "word"),
    [*WORDS, ("statecast train --precision=bf", "bf16-mixed"), ("statecast stream --data Ro", "Rows.csv")],
)
def test_zsh_completes_commands_options_and_their_values(zsh, line, word):
    """With the first Tab of a shell, which loads what completes; files where nothing else is known."""
    shell, _ = zsh
    before = re.match(r".*[ =]", line)[0]
    assert _in_zsh(shell, line) == f"{before}{word} "


def test_zsh_completes_names_of_a_running_server(zsh, server):
    """Whole, escaped as zsh wants them; none of them is run."""
    shell, folder = zsh
    at = f"statecast sessions show --server {server.address} --model"
    assert _in_zsh(shell, f"{at} g") == f"{at} gru "
    assert _in_zsh(shell, f"{at}=g") == f"{at}=gru "
    assert _in_zsh(shell, f"{at} gru mi") == f"{at} gru mill@7 "
    assert _in_zsh(shell, f"{at} gru s") == f"{at} gru site:"
    assert _in_zsh(shell, f"{at} gru two\\ w") == f"{at} gru two\\ words "
    assert _in_zsh(shell, f"{at} gru quo") == f"{at} gru quo\\'te "
    assert _in_zsh(shell, f"{at} gru x") == f"{at} gru x\\\\\\$\\(touch\\ evaluated\\) "
    assert not (folder / "evaluated").exists()


@pytest.fixture(scope="module")
def fish(installed, tmp_path_factory):
    """`fish(line)`: the words that fish offers, by its own `complete`."""
    shell, variables = installed("fish")
    environment = clean_environment(**variables)
    folder = tmp_path_factory.mktemp("where-fish-is")
    (folder / "Rows.csv").write_text("1\n")

    def offered(line):
        done = subprocess.run(
            [shell, "-c", "complete --do-complete $argv[1]", line],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert done.stderr == ""
        assert [each.name for each in folder.iterdir()] == ["Rows.csv"]
        return [each.partition("\t")[0] for each in done.stdout.splitlines()]

    return offered


@pytest.mark.parametrize(
    ("line", "word"),
    [
        *WORDS,
        ("statecast train --precision=bf", "--precision=bf16-mixed"),
        ("statecast stream --data Ro", "Rows.csv"),
    ],
)
def test_fish_completes_commands_options_and_their_values(fish, line, word):
    """And files where nothing else is known."""
    assert fish(line) == [word]


def test_fish_completes_names_of_a_running_server(fish, server):
    """Whole; fish escapes them itself."""
    at = f"statecast sessions show --server {server.address} --model"
    assert fish(f"{at} g") == ["gru"]
    assert fish(f"{at}=g") == ["--model=gru"]
    assert sorted(fish(f"{at} gru ")) == sorted(SESSIONS)
    assert fish(f"{at} gru two\\ w") == ["two words"]
