"""The calendar, computed in the graph from the time of a row."""

import math

import torch
from torch import Tensor, nn

from models.filling import filled_forward, kept, recalled
from models.frequency import Frequency
from models.state import State, StateInit

_STATE = "clock"
_DAY_US = 86_400_000_000
# Periods in microseconds, and how many sines and cosines each is told by. The mean Gregorian year.
_PERIODS = ((_DAY_US, 2), (7 * _DAY_US, 3), (365.2425 * _DAY_US, 2))


class Calendar(nn.Module):
    """Where a row stands in the day, the week and the year, as sines and cosines.

    A row without a time stands one step of the frequency after the row before it; while no time was
    ever given, all are zero. A period of less than two steps is left out.
    """

    step: Tensor
    waves: Tensor
    shifts: Tensor

    def __init__(self, frequency: Frequency) -> None:
        super().__init__()
        step_us = frequency.mean_step_us
        waves = [num / period for period, most in _PERIODS for num in range(1, most + 1)]
        waves = [wave for wave in waves if wave * step_us <= 0.5]
        self.size = 2 * len(waves)
        self.register_buffer("step", torch.tensor([[[step_us]]], dtype=torch.float64), persistent=False)
        # A cosine is a sine a quarter of a turn on.
        shifts = [0.0] * len(waves) + [0.25] * len(waves)
        for name, value in (("waves", waves * 2), ("shifts", shifts)):
            self.register_buffer(name, torch.tensor(value, dtype=torch.float64), persistent=False)

    def state_init(self) -> dict[str, StateInit]:
        """The time of the last row, microseconds, zero while none is known."""
        return {_STATE: StateInit((1, 1), torch.float64)}

    def forward(self, time: Tensor, state: State) -> tuple[Tensor, State]:
        """Read the times of a chunk.

        Args:
            time: (B, T, 1) float64, microseconds since 1970-01-01 UTC, NaN where not given.
            state: by name; not changed.

        Returns:
            (B, T, size) float32, and the next state.
        """
        ahead = self.step * torch.arange(time.shape[1], device=time.device).to(torch.float64).reshape(
            1, -1, 1
        )
        given = time == time
        # What row 0's time would be by each row that has one: that of the last such row holds.
        start = torch.where(given, time - ahead, 0.0)
        seen = torch.cumsum(given.to(torch.float64), dim=1)
        now = filled_forward(start, seen, recalled(state[_STATE]) + self.step)[0] + ahead
        turns = now * self.waves + self.shifts
        angle = ((turns - torch.floor(turns)) * (2 * math.pi)).to(torch.float32)
        return torch.where(now == now, torch.sin(angle), 0.0), {_STATE: kept(now[:, -1:])}
