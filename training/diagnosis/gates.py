"""How open the gates stand."""

from dataclasses import dataclass

import numpy as np
import torch

from models.forecaster import Forecaster
from training.diagnosis.windows import Windows, calls_along

NUM_BINS = 20
# A gate there hardly moves with its input, and passes hardly any gradient.
_SHUT, _OPEN = 0.05, 0.95


@dataclass(frozen=True)
class GateHistogram:
    """One gate of one layer, over every unit and row.

    Attributes:
        shares: of its values in each of `NUM_BINS` equal bins between 0 and 1.
        shut, open: shares below 0.05 and above 0.95.
        mean: of all values.
    """

    layer: str
    gate: str
    shares: tuple[float, ...]
    shut: float
    open: float
    mean: float


def gate_histograms(forecaster: Forecaster, windows: Windows) -> list[GateHistogram]:
    """Of each gate of each layer; none for a cell without gates."""
    found = []
    for layer, calls in calls_along(forecaster, windows).items():
        opened = [call.anatomy.open(call.layer, call.x, call.states) for call in calls if call.anatomy.open]
        for gate in opened[0].gates if opened else ():
            with torch.no_grad():
                values = torch.cat([one.gates[gate].flatten() for one in opened]).numpy()
            counts, _ = np.histogram(values, bins=NUM_BINS, range=(0.0, 1.0))
            found.append(
                GateHistogram(
                    layer,
                    gate,
                    tuple((counts / len(values)).tolist()),
                    float((values < _SHUT).mean()),
                    float((values > _OPEN).mean()),
                    float(values.mean()),
                )
            )
    return found
