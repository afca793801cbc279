"""How many steps the gate that keeps lets a memory last."""

from dataclasses import dataclass

import torch

from models.forecaster import Forecaster
from training.diagnosis.windows import Windows, calls_along

# Of a gate that rounds to wide open.
_LONGEST = 1e6


@dataclass(frozen=True)
class Memory:
    """One layer's, in steps until 1/e of what was stored is left.

    Attributes:
        per_unit: -1 / mean(log keep) of each unit, shortest first.
    """

    layer: str
    per_unit: tuple[float, ...]

    @property
    def median(self) -> float:
        return self.per_unit[len(self.per_unit) // 2]

    @property
    def longest(self) -> float:
        return self.per_unit[-1]


def effective_memory(forecaster: Forecaster, windows: Windows) -> list[Memory]:
    """Of each layer that has a gate that keeps: f of an LSTM, z of a GRU.

    It is what the gate does along these rows. What a gradient does besides, by way of the output that comes
    back, is in `gradient_through_time`.
    """
    found = []
    for layer, calls in calls_along(forecaster, windows).items():
        opened = [call.anatomy.open(call.layer, call.x, call.states) for call in calls if call.anatomy.open]
        if opened:
            keep = torch.cat([one.keep.flatten(0, 1) for one in opened])  # (T B, H)
            logs = keep.double().clamp(min=1e-30).log().mean(dim=0)
            steps = sorted(min(-1 / log, _LONGEST) if log < 0 else _LONGEST for log in logs.tolist())
            found.append(Memory(layer, tuple(steps)))
    return found
