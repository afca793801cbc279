"""One step at a time, each fed with the one before, on a copy of the state."""

from collections.abc import Callable
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from models.heads import Head, RegressionHead
from models.heads.deviates import Floats, sobol_draws
from models.scaling import Unit
from models.state import State

# From a state: the hidden output (N, H) after its last row, and the target's unit (N, 1).
LookAt = Callable[[State], tuple[Tensor, Unit]]
# From rows (N, 1, F) and a state to the next state.
Step = Callable[[Tensor, State], State]
# Of the draws: another seed would give other paths, as good as these.
_SEED = 0


class RollOut(nn.Module):
    """One to many: the model forecasts a step, takes that for the next row, and so on K times.

    Trained as a one-step forecaster that is shown what really came (Williams & Zipser 1989). A row that is
    fed back holds the target alone; covariates of steps to come are missing values.

    With S = `num_paths` > 0, S sample paths are drawn and a forecast's quantiles are those of the S
    values at each step (Salinas et al. 2020, section 3.3). The draws are quasi-random (Owen-scrambled Sobol
    points, one dimension a step), chosen once and constants of the graph: the same rows give the same reply.
    With 0, the median is fed back, and a forecast holds each step's own quantiles along that path: one
    path is cheap, but how errors pile up over the steps is not in its spread.
    """

    draw_points: Tensor
    ranks: Tensor

    def __init__(
        self, make_head: Callable[[int, int], Head], hidden_size: int, horizon: int, num_paths: int = 0
    ) -> None:
        super().__init__()
        head = make_head(hidden_size, 1)
        if not isinstance(head, RegressionHead):
            raise TypeError(f"roll-out: expected a head that can be asked for quantiles, found {head}")
        self.head = head
        self.horizon, self.num_paths = horizon, num_paths
        self._uniforms = _draws(num_paths, horizon) if num_paths else np.full((horizon, 1, 1), 0.5)
        self.register_buffer("draw_points", head.points(self._uniforms), persistent=False)
        self.register_buffer("ranks", _ranks(head.levels, num_paths), persistent=False)

    def train(self, mode: bool = True) -> Self:
        """As for any module; going over to evaluation also brings the constants up to the weights of now."""
        super().train(mode)
        if not mode:
            self.draw_points = self.head.points(self._uniforms).to(self.ranks.device)
        return self

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., H) -> the head's numbers for the next step alone, (..., 1, P): what is trained."""
        numbers: Tensor = self.head(hidden)
        return numbers

    def roll_out(self, state: State, num_features: int, look_at: LookAt, step: Step) -> Tensor:
        """The forecast (B, K, Q) float32, raw units, from a state; `state` itself stays as it is."""
        num_paths = max(self.num_paths, 1)
        copies = {name: value.repeat_interleave(num_paths, dim=0) for name, value in state.items()}
        steps = []
        for ahead in range(self.horizon):
            hidden, unit = look_at(copies)
            numbers = self.head(hidden)  # (B S, 1, P)
            drawn = self._draw(numbers, unit, ahead)  # (B S, 1)
            steps.append(drawn if self.num_paths else self.head.answer(numbers, unit)[:, 0])
            if ahead < self.horizon - 1:
                unknown = torch.full((1, num_features - 1), torch.nan, dtype=torch.float64)
                row = drawn.to(torch.float64)
                if num_features > 1:
                    row = torch.cat([row, unknown + torch.zeros_like(row)], dim=-1)
                copies = step(row.unsqueeze(1), copies)
        if not self.num_paths:
            return torch.stack(steps, dim=1)
        paths = torch.stack([each.reshape(-1, num_paths) for each in steps], dim=1)
        return torch.sort(paths, dim=-1).values @ self.ranks

    def _draw(self, numbers: Tensor, unit: Unit, ahead: int) -> Tensor:
        """One value for each copy, (B S, 1), raw units: path s of every session takes draw s of this step."""
        num_paths = max(self.num_paths, 1)
        in_paths = numbers.reshape(-1, num_paths, numbers.shape[-1])
        units = Unit(*(value.reshape(-1, num_paths) for value in (unit.location, unit.scale, unit.mean)))
        # The paths stand where steps would, with a unit and a level each.
        return self.head.at(in_paths, self.draw_points[ahead], units).reshape(-1, 1)


def _draws(num_paths: int, horizon: int) -> Floats:
    """(K, S, 1) in the open unit interval: step by step, the draw of each path."""
    return sobol_draws(num_paths, horizon, _SEED).T[..., None]


def _ranks(levels: Floats, num_paths: int) -> Tensor:
    """(S, Q): what each of S sorted values weighs in each quantile, by straight lines between the ranks.

    The value of rank i, from 0, stands at level (i + 1/2) / S (Hazen 1914; Hyndman & Fan 1996, type 5).
    """
    if not num_paths:
        return torch.zeros(1, len(levels))
    place = np.clip(levels * num_paths - 0.5, 0, num_paths - 1)
    distance = np.abs(np.arange(num_paths)[:, None] - place[None, :])
    return torch.tensor(np.maximum(1 - distance, 0.0), dtype=torch.float32)
