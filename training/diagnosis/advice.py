"""What to change, by what was found."""

from collections.abc import Sequence

from training.diagnosis.gates import GateHistogram
from training.diagnosis.gradient import Gradient
from training.diagnosis.memory import Memory
from training.diagnosis.spectrum import Radius

# More than this share of one gate at one of its ends is worth a word.
_MOSTLY = 0.9


def advice(
    gradient: Gradient,
    gates: Sequence[GateHistogram],
    memory: Sequence[Memory],
    radii: Sequence[Radius],
) -> list[str]:
    """Sentences that name options of `statecast train`; none where nothing is wrong."""
    found = []
    if gradient.verdict == "vanishing":
        found.append(_against_vanishing(gradient, memory))
    if gradient.verdict == "exploding":
        found.append(_against_exploding(gradient, radii))
    found += [f"{one.gate} gate of {one.layer}: {_stuck(one)}" for one in gates if _stuck(one)]
    return found


def _against_vanishing(gradient: Gradient, memory: Sequence[Memory]) -> str:
    seen = f"vanishing: nothing further back than {gradient.reach} rows is learned from"
    if not memory:
        return (
            f"{seen}; take a cell with a gate that keeps, such as --cell lstm or gru, "
            "or give older rows as covariates"
        )
    longest = max(one.longest for one in memory)
    return (
        f"{seen}, the gates keep {longest:.0f} rows at most; start them open with "
        f"--memory-steps {gradient.steps}, or add layers with --residual"
    )


def _against_exploding(gradient: Gradient, radii: Sequence[Radius]) -> str:
    seen = f"exploding: it grows by {gradient.factor:.2f} a step back"
    wide = max(radii, key=lambda one: one.radius, default=None)
    because = (
        f", with recurrent weights of spectral radius {wide.radius:.2f} ({wide.gate} of {wide.layer})"
        if wide is not None and wide.radius > 1
        else ""
    )
    return (
        f"{seen}{because}; lower --gradient-clip and --learning-rate, shorten --segment-length, "
        "or take a cell whose state is bounded, such as --cell lstm or gru"
    )


def _stuck(gate: GateHistogram) -> str:
    if gate.shut > _MOSTLY:
        return f"shut at {gate.shut:.0%} of rows; its units learn little, lower --learning-rate"
    if gate.open > _MOSTLY and gate.gate not in ("forget", "update"):
        return f"open at {gate.open:.0%} of rows; it decides nothing, fewer units (--hidden-size) may do"
    return ""
