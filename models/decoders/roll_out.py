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
        draws = sobol_draws(num_paths, horizon, _SEED).T if num_paths else np.full((horizon, 1), 0.5)
        self._draws = draws[..., None, None]
        self.register_buffer("draw_points", head.points(self._draws), persistent=False)
        self.register_buffer("ranks", _ranks(head.levels, num_paths), persistent=False)

    def train(self, mode: bool = True) -> Self:
        """As for any module; going over to evaluation also brings the constants up to the weights of now."""
        super().train(mode)
        if not mode:
            self.draw_points = self.head.points(self._draws).to(self.ranks.device)
        return self

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., H) -> the head's numbers for the next step alone, (..., 1, P): what is trained."""
        numbers: Tensor = self.head(hidden)
        return numbers

    def begin(self, state: State) -> tuple[State, Tensor]:
        """S copies of each session's state, N = B S of them, and their draws, (K, N, ...)."""
        num_paths = max(self.num_paths, 1)
        copies = {name: value.repeat_interleave(num_paths, dim=0) for name, value in state.items()}
        batch = next(iter(state.values())).shape[0]
        _, *rest = self.draw_points.shape
        draws = self.draw_points.unsqueeze(1).expand(self.horizon, batch, *rest)
        return copies, draws.reshape(self.horizon, -1, *rest[1:])

    def step(self, hidden: Tensor, unit: Unit, draws: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """What a step adds to the forecast, and the row that is fed back.

        Args:
            hidden: (N, H), after the last row of each copy.
            unit: (N, 1) each.
            draws: (N, ...), those of this step.
            width: W, columns of a row.

        Returns:
            (N, 1) the value drawn, or (N, Q) the quantiles where the median is fed back; rows (N, 1, W).
        """
        numbers = self.head(hidden)
        drawn = self.head.at(numbers, draws, unit)  # (N, 1, 1)
        row = drawn.to(torch.float64)
        if width > 1:
            unknown = torch.full((1, 1, width - 1), torch.nan, dtype=torch.float64)
            row = torch.cat([row, unknown + torch.zeros_like(row)], dim=-1)
        return (drawn if self.num_paths else self.head.answer(numbers, unit))[:, 0], row

    def finish(self, steps: Tensor) -> Tensor:
        """The forecast (B, K, Q) of what the steps added, (K, N, 1) or (K, N, Q)."""
        if not self.num_paths:
            return steps.transpose(0, 1)
        paths = steps.reshape(self.horizon, -1, self.num_paths).transpose(0, 1)
        return torch.sort(paths, dim=-1).values @ self.ranks


def _ranks(levels: Floats, num_paths: int) -> Tensor:
    """(S, Q): what each of S sorted values weighs in each quantile, by straight lines between the ranks.

    The value of rank i, from 0, stands at level (i + 1/2) / S (Hazen 1914; Hyndman & Fan 1996, type 5).
    """
    if not num_paths:
        return torch.zeros(1, len(levels))
    place = np.clip(levels * num_paths - 0.5, 0, num_paths - 1)
    distance = np.abs(np.arange(num_paths)[:, None] - place[None, :])
    return torch.tensor(np.maximum(1 - distance, 0.0), dtype=torch.float32)
