"""Each part of the forecaster off in turn: what it is worth, on two data sets and a short budget."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.accuracy.measured import OURS, Measured, Run, Scores

# The data sets, and the score that is compared.
ON = {"m4": "mase", "etth1-96": "mse"}
# Of each, the whole and its parts alike: fewer epochs than the settings files give, and one member.
SHORT = {"max_epochs": 6, "members": 1}


@dataclass(frozen=True)
class Ablation:
    """One part and the options that turn it off.

    Attributes:
        on: the data sets that use it; all where none are named.
    """

    part: str
    without: Mapping[str, Any]
    on: tuple[str, ...] = field(default=tuple(ON))


WHOLE = Ablation("nothing", {})
# A line a part: its options turned off, as `statecast train` names them.
ABLATIONS = (
    Ablation("seasonal skip and window: persistence instead", {"seasons": ()}),
    Ablation("learned map of the window", {"maps_window": False}),
    Ablation("recurrence: one unit", {"hidden_size": 1}),
    Ablation("calendar", {"calendar": False}, ("etth1-96",)),
    Ablation("dropout", {"dropout": 0.0}, ("etth1-96",)),
    Ablation("hidden observations", {"missing_rate": 0.0}),
    Ablation("carried state: segments of 8 rows", {"segment_length": 8}),
    Ablation("recurrence's gates", {"cell": "elman"}),
)


@dataclass(frozen=True)
class Found:
    """What is left on one data set without a part."""

    part: str
    without: Mapping[str, Any]
    name: str
    scores: Scores
    training_s: float


def ablated(runs: Mapping[str, Run], context_of: Any, names: list[str]) -> Iterator[Found]:
    """The whole first, then without each part, on each of the data sets that are named."""
    for name in names:
        for ablation in (WHOLE, *ABLATIONS):
            if name in ablation.on:
                yield _one(ablation, name, runs[name], context_of)


def _one(ablation: Ablation, name: str, run: Run, context_of: Any) -> Found:
    with context_of({**SHORT, **ablation.without}) as context:
        made: Measured = run.measure(context)
    training_s = float(made.training[OURS]["training_s"])
    return Found(ablation.part, ablation.without, name, made.scores[OURS], training_s)
