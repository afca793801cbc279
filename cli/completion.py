"""What a shell is told when somebody presses Tab: names that a server knows, and bash's words mended."""

import os
import re
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from cli.reprinted import reprinted

# Somebody waits with a finger on a key.
_PATIENCE_S = 2.0
_MOST_IDS = 100
# bash takes words apart at these and gives each of them as a word, which nobody typed as one.
_BREAKS = re.compile(r"[:=@]+")


def model_names(ctx: Any, incomplete: str) -> list[str]:
    """Models of the server that the command line names; none where it does not answer."""
    return _asked(
        ctx, lambda client: [each.name for each in client.models() if each.name.startswith(incomplete)]
    )


def session_ids(ctx: Any, incomplete: str) -> list[str]:
    """Sessions of the model that the command line names whose id begins so, the first hundred of them."""
    from itertools import islice

    def ask(client: Any) -> list[str]:
        from cli.served_model import only_model

        sessions = client.sessions(ctx.params.get("model") or only_model(client))
        return [info.session_id for info in islice(sessions.list(incomplete), _MOST_IDS)]

    typed = set(ctx.params.get("ids") or ())
    return [name for name in _asked(ctx, ask) if name not in typed]


def values_of(values: "list[str] | tuple[str, ...]") -> Callable[[str], list[str]]:
    """Completes an option that takes one of these, or several with commas."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [f"{before}{comma}{value}" for value in values if value.startswith(last)]

    return complete


def _asked(ctx: Any, ask: Callable[[Any], list[str]]) -> list[str]:
    """Whatever goes wrong, nothing is printed into a line that somebody types."""
    from cli.connection import Connection

    given = {each.name: ctx.params.get(each.name) for each in fields(Connection)}
    connection = Connection(**{name: value for name, value in given.items() if value is not None})
    try:
        with connection.client(attempt_timeout_s=_PATIENCE_S, retry_budget_s=0.0) as client:
            return ask(client)
    except Exception:
        return []


@contextmanager
def words_of_bash(environment: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """While the block runs, words as they were typed; of what it prints, what bash is to put in their place.

    bash splits `localhost:50051` in three, and replaces what follows the colon alone. Ids may hold what a
    shell would take for its own: that is escaped.
    """
    words = environment.get("COMP_WORDS", "").split("\n")
    cursor = int(environment.get("COMP_CWORD") or 0)
    words, cursor, typed = joined(words, cursor)
    environment["COMP_WORDS"], environment["COMP_CWORD"] = "\n".join(words), str(cursor)
    with reprinted(lambda lines: [_escaped(line.removeprefix(typed)) for line in lines]):
        yield


def joined(words: list[str], cursor: int) -> tuple[list[str], int, str]:
    """Words that bash took apart, put together again.

    Args:
        words: as bash has them.
        cursor: which of them is being typed.

    Returns:
        The words, which of them is being typed, and what bash will leave standing of that one.
    """
    whole: list[str] = []
    typed_at, kept = cursor, ""
    for at, word in enumerate(words):
        is_break = bool(_BREAKS.fullmatch(word))
        after_break = at > 0 and bool(_BREAKS.fullmatch(words[at - 1]))
        if whole and (is_break or (after_break and word)):
            whole[-1] += word
        else:
            whole.append(word)
        if at == cursor:
            typed_at = len(whole) - 1
            kept = _before_last_break(whole[-1])
    return whole, typed_at, kept


def _before_last_break(word: str) -> str:
    """Up to the last place where bash breaks it, without an option's name, which no completion repeats."""
    last = max((found.end() for found in _BREAKS.finditer(word)), default=0)
    begins = word.find("=") + 1 if word.startswith("--") else 0
    return word[begins:last]


def _escaped(word: str) -> str:
    return re.sub(r"([^\w%+,./:=@-])", r"\\\1", word)
