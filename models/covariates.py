"""Covariates that are no observations: static ones, and what is known of the steps to come."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from models.filling import filled_forward, kept, recalled
from models.scaling import Unit
from models.state import State, StateInit

_STATIC, _AHEAD = "static", "ahead"
_EFFECT_SIZE = 16
# Natural logarithm of the most that a count's level is multiplied or divided by.
_MOST_OF_COUNTS = 5.0


class Remembered(nn.Module):
    """Static covariates: sent once, with any row, and remembered from then on."""

    def __init__(self, num: int) -> None:
        super().__init__()
        self.num = num

    def state_init(self) -> dict[str, StateInit]:
        """(1, num) float64, zero while not known."""
        return {_STATIC: StateInit((1, self.num), torch.float64)}

    def forward(self, values: Tensor, state: State) -> tuple[Tensor, State]:
        """(B, T, num) float64, NaN where not sent -> the same filled from the rows before, the next state."""
        sent = values == values
        seen = torch.cumsum(sent.to(torch.float64), dim=1)
        filled, _ = filled_forward(torch.where(sent, values, 0.0), seen, recalled(state[_STATIC]))
        return filled, {_STATIC: kept(filled[:, -1:])}


class FutureEffect(nn.Module):
    """What known values of the steps to come add to each step's location, in units of the scale.

    Of counts, which have no such unit, it is the logarithm of what each step's level is multiplied by.

    One small network for every step: it reads the recurrence, the step's own values, and a learned vector
    of the step. Starts at zero. The newest row's values are kept, so that a forecast can be read from the
    state alone.
    """

    def __init__(self, hidden_size: int, size: int, horizon: int) -> None:
        super().__init__()
        self.of_hidden = nn.Linear(hidden_size, _EFFECT_SIZE)
        self.of_values = nn.Linear(size, _EFFECT_SIZE, bias=False)
        self.of_step = nn.Parameter(torch.randn(horizon, _EFFECT_SIZE) * 0.1)
        self.out = nn.Linear(_EFFECT_SIZE, 1)
        with torch.no_grad():
            self.out.weight.zero_()
            self.out.bias.zero_()

    def forward(self, values: Tensor, hidden: Tensor) -> Tensor:
        """(..., K) float32.

        Args:
            values: (..., K, size) float32, what is known of each step.
            hidden: (..., H).
        """
        mixed = self.of_hidden(hidden).unsqueeze(-2) + self.of_values(values) + self.of_step
        effect: Tensor = self.out(torch.relu(mixed)).squeeze(-1)
        return effect

    def moved(self, unit: Unit, effect: Tensor, *, of_counts: bool) -> Unit:
        """The unit of each step, its location (..., K), or of counts its mean, from one of (..., 1)."""
        if of_counts:
            times = torch.exp(effect.clamp(-_MOST_OF_COUNTS, _MOST_OF_COUNTS)).to(torch.float64)
            return replace(unit, mean=unit.mean * times)
        return replace(unit, location=unit.location + unit.scale * effect.to(torch.float64))


class Ahead(nn.Module):
    """Keeps the newest row's values of the steps to come."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def state_init(self) -> dict[str, StateInit]:
        """(1, width) float64, zero where not known."""
        return {_AHEAD: StateInit((1, self.width), torch.float64)}

    def forward(self, values: Tensor) -> State:
        """The next state after a chunk's values, (B, T, width)."""
        return {_AHEAD: kept(values[:, -1:])}

    def newest(self, state: State) -> Tensor:
        """(B, 1, width), NaN where not known."""
        return recalled(state[_AHEAD])
