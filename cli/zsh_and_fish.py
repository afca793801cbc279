"""What zsh and fish are told when somebody presses Tab: words taken as they are, whatever they hold."""

import os
import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from cli.reprinted import reprinted

_COMPLETE, _ACTION = "_STATECAST_COMPLETE", "_TYPER_COMPLETE_FISH_ACTION"
# typer's file says how to complete when zsh first loads it, which is at a Tab; that Tab wants an answer.
_DEFINED = "compdef _statecast_completion statecast"
_ANSWERED = f'{_DEFINED}\n_statecast_completion "$@"\n'
_PLAIN = re.compile(r"[^A-Za-z0-9_%+,./:@-]", re.ASCII)


@contextmanager
def words_of_zsh(environment: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """While the block runs, words are asked for as for fish, a line each; zsh is printed what adds them.

    What typer 0.29 prints for zsh is evaluated twice, and no backslash is escaped: an id of a session that
    somebody else named could be a command.
    """
    environment[_COMPLETE], environment[_ACTION] = "complete_fish", "get-args"
    with reprinted(lambda lines: [added([line for line in lines if line])]):
        yield


def added(lines: list[str]) -> str:
    """Commands that add words to what zsh may complete; files where there are none.

    Args:
        lines: each a word and, behind a tab, what it is.
    """
    if not lines:
        return "_files"
    words, helps = zip(*(line.partition("\t")[::2] for line in lines), strict=True)
    width = max(map(len, words))
    shown = [f"{word:{width}}  -- {told}" if told else word for word, told in zip(words, helps, strict=True)]
    listed = "-l " if any(helps) else ""
    return (
        # Of `--option=word` the word alone is completed.
        "[[ $PREFIX == --*=* ]] && compset -P 1 '*='; local -a words_found words_shown; "
        f"words_found=({' '.join(map(quoted, words))}); words_shown=({' '.join(map(quoted, shown))}); "
        f"compadd {listed}-d words_shown -a words_found"
    )


def quoted(word: str) -> str:
    """One word of zsh's; without white space, at which the output of a command is taken apart."""
    return f"$'{_PLAIN.sub(_coded, word)}'"


def _coded(letter: re.Match[str]) -> str:
    code = ord(letter[0])
    return f"\\x{code:02x}" if code < 0x80 else f"\\U{code:08x}"


@contextmanager
def words_of_fish(environment: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """While the block runs, of `--option=word` the whole is printed: fish replaces all of it."""
    last = environment.get("_TYPER_COMPLETE_ARGS", "").rpartition(" ")[2]
    option, equals, _ = last.partition("=")
    before = option + equals if equals and option.startswith("--") else ""
    with reprinted(lambda lines: [before + line if line else line for line in lines]):
        yield


@contextmanager
def first_tab() -> Iterator[None]:
    """Once the block has installed what completes, zsh's file of it answers the Tab that loads it."""
    try:
        yield
    finally:
        path = Path.home() / ".zfunc" / "_statecast"
        installed = path.read_text("utf-8") if path.exists() else ""
        if installed.rstrip().endswith(_DEFINED):
            path.write_text(installed.rstrip().removesuffix(_DEFINED) + _ANSWERED, "utf-8")
