"""Each part of the forecaster off in turn: what it is worth, on three data sets and a short budget."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from benchmarks.accuracy import without
from benchmarks.accuracy.measured import OURS, Measured, Run, Scores

# The data sets and their scores; the first is compared.
ON = {"m4": ("mase",), "etth1-96": ("mse",), "gefcom": ("wql", "coverage", "coverage_lowest")}
# Of each, the whole and its parts alike: fewer epochs than the settings files give, and one member.
SHORT = {"max_epochs": 6, "members": 1}


@dataclass(frozen=True)
class Ablation:
    """One part and the options that turn it off.

    Attributes:
        on: the data sets that it is compared on.
        taken_out: for a part that no option turns off.
    """

    part: str
    without: Mapping[str, Any]
    on: tuple[str, ...] = ("m4", "etth1-96")
    taken_out: Callable[[], AbstractContextManager[None]] = field(default=nullcontext)


_ETT, _GEFCOM = ("etth1-96",), ("gefcom",)
WHOLE = Ablation("nothing", {}, tuple(ON))
# A line a part: its options turned off, as `statecast train` names them.
ABLATIONS = (
    Ablation("seasonal skip and window: persistence instead", {"seasons": ()}),
    Ablation("learned map of the window", {"maps_window": False}),
    Ablation("recurrence: one unit", {"hidden_size": 1}),
    Ablation("running scale: that of the file", {}, tuple(ON), without.running_scale),
    Ablation("log of the scale", {}, taken_out=without.log_of_scale),
    Ablation("a forecast learned at every step: one of a segment", {"origins": 1}),
    Ablation("calendar", {"calendar": False}, (*_ETT, *_GEFCOM)),
    Ablation("dropout", {"dropout": 0.0}, _ETT),
    Ablation("hidden observations", {"missing_rate": 0.0}),
    Ablation("carried state: segments of 8 rows", {"segment_length": 8}),
    Ablation("recurrence's gates", {"cell": "elman"}),
    Ablation("mark of missing values", {}, _GEFCOM, without.mark_of_missing),
    Ablation("covariate: the temperature", {}, _GEFCOM, without.temperature),
    Ablation("calibration while streaming", {"calibrate": False}, _GEFCOM),
    Ablation("one member: three instead", {"members": 3}, tuple(ON)),
)


@dataclass(frozen=True)
class Found:
    """What is left on one data set without a part."""

    part: str
    without: Mapping[str, Any]
    name: str
    scores: Scores
    training_s: float


def of_data_set(name: str) -> list[Ablation]:
    """The whole first, then without each part, as the page lists them."""
    return [ablation for ablation in (WHOLE, *ABLATIONS) if name in ablation.on]


def ablated(ablation: Ablation, name: str, run: Run, context_of: Any) -> Found:
    """Train, stream and score without a part."""
    with ablation.taken_out(), context_of({**SHORT, **ablation.without}) as context:
        made: Measured = run.measure(context)
    training_s = float(made.training[OURS]["training_s"])
    return Found(ablation.part, ablation.without, name, made.scores[OURS], training_s)
