"""What a row of the table is, and how it is measured: in pairs, so that the machine's drift cancels."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """A row before it is measured.

    Attributes:
        name: for `--only`.
        measure: what of ours.
        reference: what it is held against, measured in the same run.
        unit: of both.
        reach: the ratio to reach: at least, or with `at_most` at most.
    """

    name: str
    measure: str
    reference: str
    unit: str
    reach: float
    at_most: bool = False


@dataclass(frozen=True)
class Pairs:
    """Repeats of a measurement and of its reference, taken in turn."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """Of each pair."""
        return [one / other if other else math.inf for one, other in zip(self.ours, self.theirs, strict=True)]


@dataclass(frozen=True)
class Outcome:
    """A row as it came out. Where `fault` is given, the figures mean nothing."""

    target: Target
    ours: float = math.nan
    reference: float = math.nan
    ratio: float = math.nan
    lowest: float = math.nan
    highest: float = math.nan
    fault: str = ""
    notes: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, target: Target, pairs: Pairs, **notes: float) -> "Outcome":
        """Medians of the pairs, and the spread of their ratios."""
        ratios = pairs.ratios
        ours, theirs = statistics.median(pairs.ours), statistics.median(pairs.theirs)
        return cls(
            target, ours, theirs, statistics.median(ratios), min(ratios), max(ratios), notes=dict(notes)
        )

    @property
    def verdict(self) -> str:
        """`met` or `missed`, or why there is no answer."""
        if self.fault:
            return self.fault
        met = self.ratio <= self.target.reach if self.target.at_most else self.ratio >= self.target.reach
        return "met" if met else "missed"


def in_pairs(repeats: int, ours: Callable[[], float], theirs: Callable[[], float]) -> Pairs:
    """Measure both, in turn, `repeats` times; which goes first alternates."""
    found: Sequence[list[float]] = ([], [])
    for repeat in range(repeats):
        for which in (0, 1) if repeat % 2 == 0 else (1, 0):
            found[which].append((ours, theirs)[which]())
    return Pairs(tuple(found[0]), tuple(found[1]))
