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

    Sums are float64 and taken about each series' first value (`origin`): float32 counts stop at
    2^24 rows, and E[x^2] - E[x]^2 cancels where the level is far above the deviation.
    """

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
        self.input_size = 2 * num_features + 1

    def state_init(self) -> dict[str, StateInit]:
        per_feature, single = StateInit((self.num_features,), torch.float64), StateInit((1,), torch.float64)
        return {
            "scale_count": per_feature,
            "scale_origin": per_feature,
            "scale_sum": per_feature,
            "scale_squares": per_feature,
            "scale_last": per_feature,
            "scale_change_count": single,
            "scale_change_sum": single,
        }

    def forward(self, x: Tensor, state: State) -> tuple[Scaled, State]:
        """Scale a chunk and advance the running sums over it.

        Args:
            x: (B, T, F) float64, raw units, NaN where missing.
            state: by name; not changed.
        """
        observed = ~torch.isnan(x)
        mark = observed.to(torch.float64)
        value = torch.where(observed, x, torch.zeros_like(x))
        seen = torch.cumsum(mark, dim=1)
        count = state["scale_count"].unsqueeze(1) + seen

        ring = _observed_in_order(value, observed, seen, state["scale_last"])
        filled = torch.gather(ring, 1, seen.to(torch.int64))
        previous = torch.cat([state["scale_last"].unsqueeze(1), filled[:, :-1]], dim=1)
        origin = torch.where(state["scale_count"] > 0, state["scale_origin"], ring[:, 1])

        centred = (value - origin.unsqueeze(1)) * mark
        total = state["scale_sum"].unsqueeze(1) + torch.cumsum(centred, dim=1)
        squares = state["scale_squares"].unsqueeze(1) + torch.cumsum(centred * centred, dim=1)
        mean = total / count.clamp(min=1.0)
        deviation = torch.sqrt((squares / count.clamp(min=1.0) - mean * mean).clamp(min=0.0))
        standard = (filled - origin.unsqueeze(1) - mean) / torch.where(deviation > 0, deviation, 1.0)

        # A change needs an observation now and one before it.
        changed = mark[..., :1] * (count[..., :1] > 1).to(torch.float64)
        change = (filled - previous)[..., :1] * changed
        change_count = state["scale_change_count"].unsqueeze(1) + torch.cumsum(changed, dim=1)
        change_sum = state["scale_change_sum"].unsqueeze(1) + torch.cumsum(change.abs(), dim=1)
        location, scale = _unit(filled[..., 0], change_sum[..., 0], change_count[..., 0])

        started = (count > 0).to(torch.float64)
        inputs = torch.cat([standard * started, mark, change / scale.unsqueeze(-1)], dim=-1)
        after = {
            "scale_count": count[:, -1],
            "scale_origin": origin,
            "scale_sum": total[:, -1],
            "scale_squares": squares[:, -1],
            "scale_last": filled[:, -1],
            "scale_change_count": change_count[:, -1],
            "scale_change_sum": change_sum[:, -1],
        }
        return Scaled(inputs.clamp(-_CLIP, _CLIP).to(torch.float32), location, scale), after

    def location_and_scale(self, state: State) -> tuple[Tensor, Tensor]:
        """Location and scale after the last row, each (B,) float64, from the state alone."""
        return _unit(
            state["scale_last"][:, 0], state["scale_change_sum"][:, 0], state["scale_change_count"][:, 0]
        )


def _observed_in_order(value: Tensor, observed: Tensor, seen: Tensor, last: Tensor) -> Tensor:
    """The chunk's observations packed to the front, per feature: (B, T + 2, F).

    Row 0 holds the value before the chunk, row k the k-th observation, and the final row takes the
    missing ones. Indexing it by the running count fills forward without a loop over time: ONNX has
    no cumulative maximum.
    """
    num_steps = value.shape[1]
    slot = torch.where(observed, seen.to(torch.int64), num_steps + 1)
    ring = last.unsqueeze(1).expand(-1, num_steps + 2, -1)
    return torch.scatter(ring, 1, slot, value)


def _unit(last: Tensor, change_sum: Tensor, change_count: Tensor) -> tuple[Tensor, Tensor]:
    """Location and scale; before any change was seen the level itself is the only scale there is."""
    level = torch.where(last != 0, last.abs(), 1.0)
    scale = torch.where(change_sum > 0, change_sum / change_count.clamp(min=1.0), level)
    return last, scale
