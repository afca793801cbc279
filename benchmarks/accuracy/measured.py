"""What a run is given, and what it finds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OURS = "statecast"

Scores = dict[str, float]
# Seconds, sizes and versions of something that was trained.
Took = dict[str, float | str]


@dataclass(frozen=True)
class Context:
    """Where a run reads and writes, and how much it does.

    Attributes:
        folder: where the data lies.
        directory: for the run's own files; it is empty.
        quick: as little as shows that everything works.
        given: options of training in place of the settings file's.
        peers: the Python of the peers' environment, where there is one.
    """

    folder: Path
    directory: Path
    quick: bool = False
    given: Mapping[str, Any] = field(default_factory=dict)
    peers: Path | None = None


@dataclass(frozen=True)
class Measured:
    """By method; `options` are those of our training that are not defaults, without paths."""

    scores: dict[str, Scores]
    training: dict[str, Took] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One part of the benchmark.

    Attributes:
        title: of its table.
        metrics: the table's columns, in order: score and heading.
        measure: ours and the naive forecasts.
        peer: one peer, trained for at most so many seconds; None where no peer forecasts it.
        finish: scores that need those of other methods, from the scores by method.
    """

    title: str
    metrics: Mapping[str, str]
    measure: Callable[[Context], Measured]
    peer: Callable[[Context, str, float], Measured] | None = None
    finish: Callable[[dict[str, Scores]], dict[str, Scores]] = dict


def only(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """The known runs that are named, each as a whole or by its beginning: `ett` is all of ETT.

    Raises:
        ValueError: a name that nothing begins with.
    """
    wanted = list(names)
    for name in wanted:
        if not any(run.startswith(name) for run in known):
            raise ValueError(f"expected some of {', '.join(known)}, or how they begin, found {name!r}")
    return [run for run in known if not wanted or any(run.startswith(name) for name in wanted)]
