"""Limits that a model's scores must keep, or it is not published. Nothing heavy is imported."""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from training.score_names import FITTED_BASELINES, METRICS, score_names

_GATE = re.compile(
    r"\s*(?P<score>[A-Za-z_]+)\s*(?P<sign><=|>=|<|>)\s*"
    r"(?:(?P<factor>[^\s*A-Za-z]\S*?)\s*(?:\*\s*(?P<times>[A-Za-z_]+))?|(?P<other>[A-Za-z_]+))\s*"
)
# As people write them.
_SHORT = {"wql": "weighted_quantile_loss"}
_SYNTAX = "SCORE<LIMIT (or <=, >, >=), the limit a number, a score or 0.9*SCORE, such as mase<1"


@dataclass(frozen=True)
class Gate:
    """`score` must be `sign` `factor` times `other`, or `factor` alone where there is no other score."""

    text: str
    score: str
    sign: str
    factor: float
    other: str | None

    @classmethod
    def parse(cls, text: str, *, labels: bool) -> Self:
        """From `mase<1`, `coverage>0.75`, `mase<seasonal_naive_mase` or `wql<0.85*seasonal_naive_wql`.

        Raises:
            ValueError: another syntax, or a score that no model of this kind has.
        """
        match = _GATE.fullmatch(text)
        if match is None:
            raise ValueError(f"expected {_SYNTAX}, found {text!r}")
        factor = _number(match["factor"], text) if match["factor"] else 1.0
        other = match["times"] or match["other"]
        known = score_names(labels=labels)
        score = _known(match["score"], known)
        return cls(text.strip(), score, match["sign"], factor, _known(other, known) if other else None)

    def failure(self, scores: Mapping[str, float]) -> str | None:
        """Why `scores` do not keep the limit, or None where they do. A score without a value keeps none."""
        for name in (self.score, self.other):
            if name is not None and not math.isfinite(scores.get(name, math.nan)):
                return f"{self.text}: {name} has no value"
        value = scores[self.score]
        reference = 1.0 if self.other is None else scores[self.other]
        limit = self.factor * reference
        signs = {"<": value < limit, "<=": value <= limit, ">": value > limit, ">=": value >= limit}
        if signs[self.sign]:
            return None
        of_other = f" ({self.factor:g} x {self.other} {reference:.6g})" if self.other else ""
        return f"{self.text}: {self.score} is {value:.6g}, the limit {limit:.6g}{of_other}"


class GateError(Exception):
    """A model whose scores do not keep the limits that were set; it was not published.

    Attributes:
        failures: a sentence for each limit, with the score, its value and the limit.
    """

    def __init__(self, failures: Sequence[str]) -> None:
        self.failures = tuple(failures)
        super().__init__(f"not published, as the model fails {'; '.join(failures)}")


def check_gates(gates: Sequence[Gate], scores: Mapping[str, float]) -> None:
    """Hold a model's scores against every limit.

    Raises:
        GateError: names each that fails.
    """
    failures = [failure for gate in gates if (failure := gate.failure(scores)) is not None]
    if failures:
        raise GateError(failures)


def needs_fitted_baselines(gates: Sequence[Gate]) -> bool:
    """Whether a limit speaks of a baseline that takes seconds for each series."""
    names = [name for gate in gates for name in (gate.score, gate.other) if name]
    return any(name.startswith(FITTED_BASELINES) for name in names)


def _number(text: str, gate: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"expected {_SYNTAX}, found {gate!r}")
    return value


def _known(name: str, known: Sequence[str]) -> str:
    for short, whole in _SHORT.items():
        if name == short or name.endswith(f"_{short}"):
            name = name.removesuffix(short) + whole
    if name not in known:
        own = [one for one in known if one in METRICS]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.7)
        hint = f"near are {', '.join(near)}; " if near else ""
        expected = f"{', '.join(own)}, or one with a baseline's name before it"
        raise ValueError(f"no score {name!r}: {hint}expected one of {expected}")
    return name
