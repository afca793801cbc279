"""Every measure of one forecaster, as text and as JSON."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.forecaster import Forecaster
from training.diagnosis.advice import advice
from training.diagnosis.gates import GateHistogram, gate_histograms
from training.diagnosis.gradient import Gradient, gradient_through_time
from training.diagnosis.memory import Memory, effective_memory
from training.diagnosis.spectrum import Radius, spectral_radii
from training.diagnosis.windows import Windows


@dataclass(frozen=True)
class Diagnosis:
    """What was found of one forecaster.

    Attributes:
        name: what it is called in tables and pictures.
        advice: what to change; empty where nothing is wrong.
    """

    name: str
    gradient: Gradient
    gates: tuple[GateHistogram, ...]
    memory: tuple[Memory, ...]
    radii: tuple[Radius, ...]
    advice: tuple[str, ...]


def diagnose(name: str, forecaster: Forecaster, windows: Windows) -> Diagnosis:
    """Take every measure; weights and training mode stay as they are, dropout is left out."""
    was_training = forecaster.training
    forecaster.eval()
    try:
        gradient = gradient_through_time(forecaster, windows)
        gates = gate_histograms(forecaster, windows)
        memory = effective_memory(forecaster, windows)
    finally:
        forecaster.train(was_training)
    radii = spectral_radii(forecaster)
    found = advice(gradient, gates, memory, radii)
    return Diagnosis(name, gradient, tuple(gates), tuple(memory), tuple(radii), tuple(found))


def as_json(diagnoses: Sequence[Diagnosis]) -> list[dict[str, Any]]:
    """Plain values; a norm that is not finite becomes None, as JSON knows none."""
    return [
        {
            "name": one.name,
            "gradient": {
                "verdict": one.gradient.verdict,
                "steps": one.gradient.steps,
                "reach": one.gradient.reach,
                "factor_a_step": _finite(one.gradient.factor),
                "norms": [_finite(norm) for norm in one.gradient.norms],
                "by": list(one.gradient.tensors),
            },
            "gates": [dataclasses.asdict(gate) for gate in one.gates],
            "memory_steps": [
                {"layer": layer.layer, "median": layer.median, "per_unit": list(layer.per_unit)}
                for layer in one.memory
            ],
            "spectral_radius": [dataclasses.asdict(radius) for radius in one.radii],
            "advice": list(one.advice),
        }
        for one in diagnoses
    ]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
