"""Causal running scaling: each row is scaled by what was seen up to that row, in the exported graph."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.state import State, StateInit

# A clean feature is a few units wide; further out only says "far", and must not drown the gates.
_CLIP = 20.0


@dataclass(frozen=True)
class Scaled:
    """What the scaler makes of a chunk: B batch, T time, F features.

    Attributes:
        inputs: (B, T, 2 F + 1) float32, unitless: standardised values, observed marks, the target's change.
        location: (B, T) float64, raw units: the target's last observed value.
        scale: (B, T) float64, raw units, positive: the target's mean absolute change so far.
    """

    inputs: Tensor
    location: Tensor
    scale: Tensor


class RunningScaler(nn.Module):
    """Standardises every feature by its running mean and deviation; NaN marks a missing value.

    The target is feature 0. Forecasts are expressed from its last observed value, in units of its
    mean absolute change, so a network's zero is persistence and its unit is the error of the naive
    forecast (the denominator of MASE, Hyndman & Koehler 2006).

    Sums are float64 and taken about each series' first value (its origin): float32 counts stop at
    2^24 rows, and E[x^2] - E[x]^2 cancels where the level is far above the deviation.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
        self.input_size = 2 * num_features + 1

    def state_init(self) -> dict[str, StateInit]:
        """Two tensors and not seven: each costs a server a gather and a scatter for every batch.

        `scale_values`, (F, 5): count, origin, sum, sum of squares and last value of each feature.
        `scale_changes`, (2,): count and sum of the target's absolute changes.
        """
        return {
            "scale_values": StateInit((self.num_features, 5), torch.float64),
            "scale_changes": StateInit((2,), torch.float64),
        }

    def num_observed(self, state: State) -> Tensor:
        """Observations of the target so far, (B,) float64."""
        return state["scale_values"][:, 0, 0]

    def forward(self, x: Tensor, state: State) -> tuple[Scaled, State]:
        """Scale a chunk and advance the running sums over it.

        Args:
            x: (B, T, F) float64, raw units, NaN where missing.
            state: by name; not changed.
        """
        count_before, origin_before, sum_before, squares_before, last_before = (
            state["scale_values"].unsqueeze(1).unbind(-1)
        )
        observed = ~torch.isnan(x)
        mark = observed.to(torch.float64)
        value = torch.where(observed, x, torch.zeros_like(x))
        seen = torch.cumsum(mark, dim=1)
        count = count_before + seen

        ring = _observed_in_order(value, observed, seen, last_before)
        filled = torch.gather(ring, 1, seen.to(torch.int64))
        previous = torch.cat([last_before, filled[:, :-1]], dim=1)
        origin = torch.where(count_before > 0, origin_before, ring[:, 1:2])

        centred = (value - origin) * mark
        total = sum_before + torch.cumsum(centred, dim=1)
        squares = squares_before + torch.cumsum(centred * centred, dim=1)
        mean = total / count.clamp(min=1.0)
        deviation = torch.sqrt((squares / count.clamp(min=1.0) - mean * mean).clamp(min=0.0))
        standard = (filled - origin - mean) / torch.where(deviation > 0, deviation, 1.0)

        # A change needs an observation now and one before it.
        changed = mark[..., :1] * (count[..., :1] > 1).to(torch.float64)
        change = (filled - previous)[..., :1] * changed
        changes = torch.cumsum(torch.cat([changed, change.abs()], dim=-1), dim=1)
        changes = state["scale_changes"].unsqueeze(1) + changes
        location, scale = _unit(filled[..., 0], changes)

        started = (count > 0).to(torch.float64)
        inputs = torch.cat([standard * started, mark, change / scale.unsqueeze(-1)], dim=-1)
        sums = [count[:, -1], origin[:, 0], total[:, -1], squares[:, -1], filled[:, -1]]
        after = {"scale_values": torch.stack(sums, dim=-1), "scale_changes": changes[:, -1]}
        return Scaled(inputs.clamp(-_CLIP, _CLIP).to(torch.float32), location, scale), after

    def location_and_scale(self, state: State) -> tuple[Tensor, Tensor]:
        """Location and scale after the last row, each (B,) float64, from the state alone."""
        return _unit(state["scale_values"][:, 0, 4], state["scale_changes"])


def _observed_in_order(value: Tensor, observed: Tensor, seen: Tensor, last: Tensor) -> Tensor:
    """The chunk's observations packed to the front, per feature: (B, T + 2, F); `last` is (B, 1, F).

    Row 0 holds the value before the chunk, row k the k-th observation, and the final row takes the
    missing ones. Indexing it by the running count fills forward without a loop over time: ONNX has
    no cumulative maximum.
    """
    num_steps = value.shape[1]
    slot = torch.where(observed, seen.to(torch.int64), num_steps + 1)
    ring = last.expand(-1, num_steps + 2, -1)
    return torch.scatter(ring, 1, slot, value)


def _unit(last: Tensor, changes: Tensor) -> tuple[Tensor, Tensor]:
    """Location and scale (...) from the last value (...) and the count and sum of changes (..., 2).

    Before any change was seen the level itself is the only scale there is.
    """
    count, total = changes.unbind(-1)
    level = torch.where(last != 0, last.abs(), 1.0)
    return last, torch.where(total > 0, total / count.clamp(min=1.0), level)
