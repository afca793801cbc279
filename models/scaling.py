"""Causal running scaling: each row is scaled by what was seen up to that row, in the exported graph.

A served row pays for each operator more than for its numbers, so the formulas here are chosen for few
and cheap operators: see docs/decisions/0007-a-lean-graph.md before adding one.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.filling import filled_forward
from models.state import State, StateInit

# A clean feature is a few units wide; further out only says "far", and must not drown the gates.
_CLIP = 20.0
# Under a square root: no deviation divides a difference that is zero as well.
_LEAST_VARIANCE = 1e-300
_STATE = "scale_values"


@dataclass(frozen=True)
class Unit:
    """What forecasts of the target are expressed in, by what was seen of it up to a row.

    Attributes:
        location: (..., 1) float64, raw units: the target's last observed value.
        scale: (..., 1) float64, raw units, positive: the target's mean absolute change so far.
        mean: (..., 1) float64, raw units: the target's mean so far, zero before any value.
    """

    location: Tensor
    scale: Tensor
    mean: Tensor

    def at(self, rows: Tensor) -> "Unit":
        """That of some rows, by index (R,), of one of each row, (B, T, ...)."""
        return Unit(*(part.index_select(1, rows) for part in (self.location, self.scale, self.mean)))


@dataclass(frozen=True)
class Moments:
    """Of every feature so far, (..., F) float64, raw units: its mean, and its deviation, positive."""

    mean: Tensor
    deviation: Tensor


@dataclass(frozen=True)
class Scaled(Unit):
    """What the scaler makes of a chunk, B batch, T time, F features: the unit (B, T, 1) after each row.

    Attributes:
        inputs: (B, T, 2 F + 1) float32, unitless: standardised values, observed marks, the target's change.
        moments: after each row; where nothing reads them, no graph holds them.
    """

    inputs: Tensor
    moments: Moments

    @property
    def covariates(self) -> Tensor:
        """(B, T, 2 F - 2) of `inputs`: all but the target's."""
        num = (self.inputs.shape[-1] - 1) // 2
        return torch.cat([self.inputs[..., 1:num], self.inputs[..., num + 1 : 2 * num]], dim=-1)


class RunningScaler(nn.Module):
    """Standardises every feature by its running mean and deviation; NaN marks a missing value.

    The target is feature 0. Forecasts are expressed from its last observed value, in units of its
    mean absolute change, so a network's zero is persistence and its unit is the error of the naive
    forecast (the denominator of MASE, Hyndman & Koehler 2006).

    Sums are float64 and taken about each series' first value (its origin): float32 counts stop at
    2^24 rows, and E[x^2] - E[x]^2 cancels where the level is far above the deviation.
    """

    zero: Tensor
    one: Tensor
    least_variance: Tensor

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features
        self.input_size = 2 * num_features + 1
        # With axes of one: ONNX Runtime 1.31 goes value by value where a bare number meets (B, T, 1).
        for name, value in (("zero", 0.0), ("one", 1.0), ("least_variance", _LEAST_VARIANCE)):
            number = torch.full((1, 1, 1), value, dtype=torch.float64)
            self.register_buffer(name, number, persistent=False)

    def state_init(self) -> dict[str, StateInit]:
        """One tensor: each costs a server a gather and a scatter for every batch.

        (1, 5 F + 1), a row like those of a chunk: each feature's count, last value, origin, sum and
        sum of squares about the origin; the sum of the target's absolute changes.
        """
        return {_STATE: StateInit((1, 5 * self.num_features + 1), torch.float64)}

    def num_observed(self, state: State) -> Tensor:
        """Observations of the target so far, (B,) float64."""
        return state[_STATE][:, 0, 0]

    def origin(self, state: State) -> Tensor:
        """The target's first value, (B, 1, 1) float64: it never changes; zero before any value."""
        return self._columns(state)[2][..., :1]

    def forward(self, x: Tensor, state: State) -> tuple[Scaled, State]:
        """Scale a chunk and advance the running sums over it.

        Args:
            x: (B, T, F) float64, raw units, NaN where missing.
            state: by name; not changed.
        """
        num = self.num_features
        count_before, last_before, origin_before, sums_before = self._columns(state)
        observed = x == x  # NaN alone differs from itself; one operator, where ~isnan is two
        mark = observed.to(torch.float64)
        seen = torch.cumsum(mark, dim=1)
        count = count_before + seen
        last, first = filled_forward(torch.where(observed, x, self.zero), seen, last_before)
        origin = torch.where(count_before.to(torch.bool), origin_before, first)

        # Zero until something was observed: then last and first are both the state's zero.
        offset = last - origin
        centred = offset * mark
        target = offset[..., :1]
        previous = torch.cat([(last_before - origin_before)[..., :1], target[:, :-1]], dim=1)
        change = target - previous
        sums = torch.cat([centred, centred * centred, change.abs()], dim=-1)
        sums = sums_before + torch.cumsum(sums, dim=1)
        total, squares, changes = torch.split(sums, [num, num, 1], dim=-1)

        # (offset - mean) / deviation, both multiplied by the count: no division by a count of zero.
        variance = torch.maximum(count * squares - total * total, self.least_variance)
        standard = (count * offset - total) / torch.sqrt(variance)
        location, scale = self._unit(count, last, changes)
        inputs = torch.cat([standard, mark, change / scale], dim=-1).to(torch.float32)
        after = torch.cat([count, last, origin, sums], dim=-1)[:, -1:]
        mean = self._mean(count, origin, total)
        moments = self._moments(count, origin, total, squares)
        return Scaled(location, scale, mean, inputs.clamp(-_CLIP, _CLIP), moments), {_STATE: after}

    def moments(self, state: State) -> Moments:
        """After the last row, (B, 1, F) each, from the state alone."""
        num = self.num_features
        count, _, origin, sums = self._columns(state)
        return self._moments(count, origin, sums[..., :num], sums[..., num : 2 * num])

    def _moments(self, count: Tensor, origin: Tensor, total: Tensor, squares: Tensor) -> Moments:
        seen = torch.maximum(count, self.one)
        variance = torch.maximum(count * squares - total * total, self.least_variance)
        return Moments(origin + total / seen, torch.sqrt(variance) / seen)

    def unit(self, state: State) -> Unit:
        """The unit after the last row, each (B, 1, 1) float64, from the state alone."""
        count, last, origin, sums = self._columns(state)
        location, scale = self._unit(count, last, sums[..., -1:])
        return Unit(location, scale, self._mean(count, origin, sums))

    def _mean(self, count: Tensor, origin: Tensor, total: Tensor) -> Tensor:
        """The target's mean, (B, T, 1); where a head has no use for it, no graph holds it."""
        return origin[..., :1] + total[..., :1] / torch.maximum(count[..., :1], self.one)

    def _columns(self, state: State) -> tuple[Tensor, ...]:
        """Count, last value and origin, (B, 1, F) each, and the running sums, (B, 1, 2 F + 1)."""
        num = self.num_features
        return torch.split(state[_STATE], [num, num, num, 2 * num + 1], dim=-1)

    def _unit(self, count: Tensor, last: Tensor, changes: Tensor) -> tuple[Tensor, Tensor]:
        """The target's location and scale, (B, T, 1) each.

        Before any change was seen the level itself is the only scale there is.
        """
        location = last[..., :1]
        level = location.abs() + (location == self.zero).to(torch.float64)
        mean = changes / (count[..., :1] - self.one)  # every observation but the first is a change
        return location, torch.where(changes.to(torch.bool), mean, level)
