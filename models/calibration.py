"""Adaptive conformal correction: forecasts are judged when their values come, and the levels are moved.

A forecast of step k is judged k rows after it was made, for some steps k of the horizon (the grid). Each
level of each of them has an offset, in units of the forecast's own interval there. A value below the quantile
that was served lowers it, one above raises it, so that in the long run the share below is the level,
whatever the series does (Gibbs & Candes 2021; the quantile tracker of Angelopoulos, Candes & Tibshirani 2023,
equation 4; Angelopoulos, Barber & Bates 2024 for steps that shrink).

Where a number is to be repeated along the levels, that is a product with a small matrix: ONNX Runtime 1.31
takes eight times as long to broadcast along a last axis of a few numbers. See
docs/decisions/0016-calibration-in-the-graph.md.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from models.calibration_grid import Grid
from models.cells.scanned import ScannedLayer
from models.spread import Spread
from models.state import State, StateInit

# Observations before a forecast is worth judging: fewer tell the scaler nothing.
_WARM_UP = 4.0
# How far an offset moves for a forecast: much at first, and at least so much for ever, to follow a drift.
_FLOOR, _EXTRA, _DECAY_ROWS = 0.02, 2.0, 20.0
# Errors of forecasts of step k that were made a row apart are nearly the same, and what they taught is seen
# k rows later: an offset moves less the further ahead, by this power of k. Forecasts of every s-th row stand
# for the s - 1 between: it moves s times as far, but not beyond.
_SLOWER, _MOST_MOVED = 0.25, 0.2
# A value is not below or above a quantile at once but along a ramp, this part of the interval to either side:
# the last digits of a sum, which depend on the batch and the chunk, then move an offset by as little.
_RAMP = 0.1
# Counts wrap: float32 has no odd numbers beyond 2^24. A multiple of every stride.
_MOST_COUNTED, _WRAP = 2.0**23, 2.0**22
_OFFSET, _RING, _COUNT = "calibration_offset", "calibration_ring", "calibration_count"


class Calibration(nn.Module):
    """Moves the levels of forecasts by how often values fell below them.

    Axes: G steps of the grid, E forecasts that wait to be judged, Q quantile levels, K horizon.

    The median, where it is a level, stays the model's own: an offset that follows coverage knows less of the
    centre than the model does. Quantiles never cross it or each other.
    """

    steps: Tensor
    floor: Tensor
    extra: Tensor
    strides: Tensor
    moves: Tensor
    repeat: Tensor
    picked: Tensor
    owner: Tensor
    outwards: Tensor
    middle: Tensor
    sides: Tensor
    expand: Tensor

    def __init__(self, levels: Sequence[float], horizon: int) -> None:
        super().__init__()
        grid = self.grid = Grid.of(horizon)
        self.tracker = _Tracker(levels, grid)
        self.is_whole = len(grid.steps) == horizon
        num, strides = len(levels), np.array(grid.strides)
        weights = strides / np.array(grid.steps) ** _SLOWER
        self.has_median = 0.5 in levels
        # Below the median -1, above it 1; without one nothing has a side.
        sides = np.sign(np.array(levels) - 0.5) if self.has_median else np.ones(num)
        middle = np.eye(num)[:, [list(levels).index(0.5)] * num] if self.has_median else np.zeros((num, num))
        self.needs_sort = not self.has_median or max((sides < 0).sum(), (sides > 0).sum()) > 1
        constants = {
            "steps": np.array(grid.steps),
            "floor": _FLOOR * weights,
            "extra": _EXTRA * weights,
            "strides": strides,
            "moves": (np.array(levels) != 0.5)[None, :],
            "repeat": np.ones((1, num + 1)),
            "middle": middle,
            "outwards": (np.eye(num) - middle) * sides,
            "sides": np.diag(sides),
            # Offsets (G Q) -> those of every step (K Q), away from the median.
            "expand": np.kron(grid.weights.T, np.diag(sides)),
        }
        for name, value in constants.items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32), persistent=False)
        self.register_buffer("picked", torch.from_numpy(np.array(grid.steps) - 1), persistent=False)
        self.register_buffer("owner", torch.from_numpy(grid.owner), persistent=False)

    def state_init(self) -> dict[str, StateInit]:
        """Offsets (G, Q), waiting forecasts (E, Q + 1), and counts (2,): observations and rows since."""
        num_levels = self.tracker.num_levels
        return {
            _OFFSET: StateInit((len(self.grid.steps), num_levels)),
            _RING: StateInit((self.grid.num_entries, num_levels + 1)),
            _COUNT: StateInit((2,)),
        }

    def forward(self, y: Tensor, spread: Spread, state: State) -> tuple[Tensor, State]:
        """Judge what waited for the rows of a chunk, and keep what was forecast after them.

        Args:
            y: (B, T, 1) float64, the target about a point that never changes; NaN where missing.
            spread: the model's forecasts (B, T, K, Q) after each row, about the same point.
            state: by name; not changed.

        Returns:
            The offset after each row, (B, T, G, Q), and the next state.
        """
        observed = y == y
        mark = observed.to(torch.float32)
        rows, after = self._counts(mark, state[_COUNT])
        value = torch.where(observed, y, 0.0).to(torch.float32).unsqueeze(-1)
        entry = self._on_grid(spread.quantiles) + spread.point
        width = self._on_grid(spread.width)
        slope = 0.5 / _RAMP / width

        age = (rows - self.steps).clamp(min=0.0)  # (B, T, G), positive once there is something to judge
        gain = (self.floor + self.extra / (age + _DECAY_ROWS)).clamp(max=_MOST_MOVED)
        gain = gain * (age.clamp(max=1.0) * mark)
        inputs = [torch.cat([entry, slope[..., :1]], dim=-1), width, value]
        if self.grid.is_thinned:
            turn = rows / self.strides
            due = (turn == torch.floor(turn)).to(torch.float32)
            gain = gain * due
            inputs.append((due.unsqueeze(-1) @ self.repeat).index_select(2, self.owner).to(torch.bool))
        inputs.append(gain.unsqueeze(-1) @ self.moves)
        offsets, (offset, ring) = self.tracker(
            [part.transpose(0, 1) for part in inputs], state[_OFFSET], state[_RING]
        )
        return offsets.transpose(0, 1), {_OFFSET: offset, _RING: ring, _COUNT: after}

    def corrected(self, spread: Spread, offsets: Tensor) -> Spread:
        """The forecast with offsets (..., G, Q) applied."""
        own, num_levels = spread.quantiles, self.tracker.num_levels
        by_step = (*offsets.shape[:-2], self.grid.horizon, num_levels)
        moved = (offsets.flatten(-2) @ self.expand).reshape(by_step)
        quantiles = own @ self.outwards + spread.width * moved
        if self.has_median:
            quantiles = own @ self.middle + torch.relu(quantiles) @ self.sides
        return replace(
            spread, quantiles=torch.sort(quantiles, dim=-1).values if self.needs_sort else quantiles
        )

    def offsets(self, state: State) -> Tensor:
        """The offsets as they stand, (B, G, Q)."""
        return state[_OFFSET]

    def _on_grid(self, of_steps: Tensor) -> Tensor:
        """(B, T, K, Q) -> (B, T, G, Q)."""
        return of_steps if self.is_whole else of_steps.index_select(2, self.picked)

    def _counts(self, mark: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Rows with enough observations so far, after each row (B, T, 1); the next counts."""
        count_before, rows_before = before.unsqueeze(1).chunk(2, dim=-1)
        count = count_before + torch.cumsum(mark, dim=1)
        rows = rows_before + torch.cumsum((count >= _WARM_UP).to(torch.float32), dim=1)
        last = torch.cat([count.clamp(max=_WARM_UP), rows], dim=-1)[:, -1]
        return rows, last - _WRAP * (last >= _MOST_COUNTED).to(torch.float32)


class _Tracker(ScannedLayer):
    """One row: judge the oldest forecast of each step of the grid, move its offsets, let the next wait.

        below = clip(1/2 + (q - y) / (2 ramp w), 0, 1)
        theta <- theta + gain (level - below)

    q is the quantile as it was served, the model's own and theta w; w is its interval, theta the offset.
    """

    levels: Tensor
    oldest: Tensor
    pushed: Tensor
    quantiles: Tensor
    slopes: Tensor
    served: Tensor

    def __init__(self, levels: Sequence[float], grid: Grid) -> None:
        super().__init__()
        num = self.num_levels = len(levels)
        # Of an entry (Q + 1): its quantiles, and its slope 1 / (2 ramp w) beside each of them.
        quantiles, slopes = np.eye(num + 1)[:, :num], np.eye(num + 1)[:, [num] * num]
        constants = {
            "levels": np.tile(np.array(levels) - 0.5, (len(grid.steps), 1)),
            "quantiles": quantiles,
            "slopes": slopes,
            "served": quantiles.T,
        }
        for name, value in constants.items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32), persistent=False)
        self.register_buffer("oldest", torch.from_numpy(grid.oldest), persistent=False)
        self.register_buffer("pushed", torch.from_numpy(grid.pushed), persistent=False)

    def project(self, x: Sequence[Tensor]) -> tuple[Tensor, ...]:  # type: ignore[override]
        """All of a row comes ready; nothing is learned here, and torch's scan then asks for no gradients."""
        return tuple(part.detach() for part in x)

    def step(self, rows: tuple[Tensor, ...], *states: Tensor) -> tuple[Tensor, ...]:
        """The next offsets and ring.

        Args:
            rows: entry (B, G, Q + 1), width (B, G, Q), value (B, 1, 1) [, due (B, E, Q + 1)], gain (B, G, Q).
            states: offsets (B, G, Q) and ring (B, E, Q + 1).
        """
        (entry, width, value, *due, gain), (offset, ring) = rows, states
        judged = ring.index_select(1, self.oldest)
        distance = (judged @ self.slopes) * (judged @ self.quantiles - value)
        offset = offset + gain * (self.levels - distance.clamp(-0.5, 0.5))
        entry = entry + (offset * width) @ self.served
        pushed = torch.cat([entry, ring], dim=1).index_select(1, self.pushed)
        if due:
            pushed = torch.where(due[0], pushed, ring)
        return offset, pushed
