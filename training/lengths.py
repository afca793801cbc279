"""Series too short to be trained on are left out and told of; that all of them are is an error."""

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from training.errors import DataError

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)
# Names in a message.
_FEW = 5


class TooShort(DataError):
    """A series with too few rows, or too few values, to be trained on."""


def long_enough(path: Path, makers: Iterable[Callable[[], _T]]) -> Iterator[_T]:
    """What `makers` make, without those that are too short; of these a warning is logged at the end.

    Raises:
        TooShort: the first one's, where all are.
    """
    short: list[TooShort] = []
    num_made = 0
    for make in makers:
        try:
            made = make()
        except TooShort as error:
            short.append(error)
            continue
        num_made += 1
        yield made
    if short and not num_made:
        raise short[0]
    if short:
        named = ", ".join(f"{one.series!r} ({one.found})" for one in short[:_FEW])
        more = f" and {len(short) - _FEW} more" if len(short) > _FEW else ""
        _LOG.warning(
            "%s: %d of %d series left out, too short to train on: %s%s; expected %s",
            path, len(short), len(short) + num_made, named, more, short[0].expected,
        )  # fmt: skip
