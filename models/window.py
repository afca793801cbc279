"""The target's recent rows, kept in a ring, and what they say of its level, its scale and its habits.

Shapes: B batch, T time, L rows of the window, R rows that a forecast is made at, S lags.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.filling import kept
from models.state import State, StateInit

_STATE = "window"
# Features are a few units wide; further out only says "far".
_CLIP = 5.0
# Of the level: a change below that is rounding.
_LEAST_SHARE = 1e-9


@dataclass(frozen=True)
class Habits:
    """What the window that ends at a row says of the target, each (B, T, n) float64, raw units.

    Attributes:
        level: (B, T, 1) its mean over the longest season.
        deviation: (B, T, 1) its standard deviation over the window, positive.
        errors: (B, T, S) mean |y_t - y_{t-lag}| over the window, by lag, positive: the error of the naive
            forecast of that lag.
        latest: (B, T, S + 1) its newest value, and that less the one a lag before; zero where missing.
        seen: (B, T, 1) 1 where the newest value was observed, else 0.
    """

    level: Tensor
    deviation: Tensor
    errors: Tensor
    latest: Tensor
    seen: Tensor

    def at(self, rows: Tensor) -> "Habits":
        """Those of some rows, by index (R,)."""
        parts = self.level, self.deviation, self.errors, self.latest, self.seen
        return Habits(*(part.index_select(1, rows) for part in parts))


class Window(nn.Module):
    """A ring of the target's last L values, as `models.filling.kept` keeps them.

    Sums over the window are differences of running sums over the ring and the chunk, taken anew from the
    ring at each chunk: nothing accumulates, however long a stream is. Values are centred by the mean of
    what the chunk and the ring hold, so that squares do not cancel.
    """

    def __init__(self, length: int, seasons: Sequence[int]) -> None:
        """`length` is a multiple of the shortest season, `seasons` ascend."""
        super().__init__()
        self.length = length
        self.seasons = tuple(seasons)
        self.lags = tuple(sorted({1, *seasons}))
        # The lag of the naive forecast that errors are measured by.
        self.unit_lag = self.lags.index(seasons[0])
        self.feature_size = 2 * len(self.lags) + 4

    def state_init(self) -> dict[str, StateInit]:
        """(L,) float64: the oldest first."""
        return {_STATE: StateInit((self.length,), torch.float64)}

    def extended(self, target: Tensor, state: State) -> Tensor:
        """(B, L + T) float64: the ring, and the chunk's target (B, T) behind it."""
        return torch.cat([state[_STATE], kept(target)], dim=1)

    def state_after(self, extended: Tensor) -> State:
        """The next state: the newest L values."""
        return {_STATE: extended[:, -self.length :]}

    def newest(self, state: State) -> Tensor:
        """(B, L): the one window that the state holds."""
        return state[_STATE]

    def habits(self, values: Tensor) -> Habits:
        """Of each of the T windows in values (B, L - 1 + T) float64, zero where missing."""
        mark = (values != 0.0).to(torch.float64)
        centre = values.sum(dim=1, keepdim=True) / mark.sum(dim=1, keepdim=True).clamp(min=1.0)
        offset = (values - centre) * mark
        count, total = _sums(mark, self.length), _sums(offset, self.length)
        squares = _sums(offset * offset, self.length)
        mean = total / count.clamp(min=1.0)
        variance = squares / count.clamp(min=1.0) - mean * mean
        season = self.seasons[-1]
        newest_season = slice(self.length - season, None)
        total = _sums(offset[:, newest_season], season)
        level = total / _sums(mark[:, newest_season], season).clamp(min=1.0) + centre
        size = (mean + centre).abs()
        # While nothing ever changed the level itself is the only scale there is.
        least = _LEAST_SHARE * size
        flat = size + (size == 0.0).to(torch.float64)
        deviation = torch.where(variance > least * least, torch.sqrt(variance.clamp(min=0.0)), flat)
        newest = offset[:, self.length - 1 :]
        now = mark[:, self.length - 1 :]
        errors, latest = [], [((newest + centre).unsqueeze(-1) - level.unsqueeze(-1)) * now.unsqueeze(-1)]
        for lag in self.lags:
            both = mark[:, lag:] * mark[:, :-lag]
            change = (offset[:, lag:] - offset[:, :-lag]) * both
            # As if one more pair had differed by the deviation: a few equal pairs are no proof of silence.
            pairs = _sums(both, self.length - lag) + 1.0
            errors.append((_sums(change.abs(), self.length - lag) + deviation) / pairs)
            latest.append(change[:, self.length - 1 - lag :].unsqueeze(-1))
        return Habits(
            level.unsqueeze(-1),
            deviation.unsqueeze(-1),
            torch.stack(errors, dim=-1),
            torch.cat(latest, dim=-1),
            now.unsqueeze(-1),
        )

    def features(self, habits: Habits) -> Tensor:
        """(B, T, feature_size) float32: the newest value and its changes, and the logs of the scales."""
        unit = habits.errors[..., self.unit_lag : self.unit_lag + 1]
        size = (habits.level.abs() / habits.deviation).clamp(1e-3, 1e3)
        parts = [
            habits.latest[..., :1] / habits.deviation,
            habits.latest[..., 1:] / (4.0 * unit),
            torch.log(habits.errors / unit),
            torch.log(habits.deviation / unit),
            torch.log(size),
            habits.seen,
        ]
        return torch.cat(parts, dim=-1).clamp(-_CLIP, _CLIP).to(torch.float32)

    def shapes(self, values: Tensor, habits: Habits, rows: Tensor) -> Tensor:
        """The windows that end at some rows, about the level, in units of the naive error.

        A missing value is the mean of its phase in the shortest season, as far as the window shows it, else
        the level.

        Args:
            values: (B, L - 1 + T), zero where missing.
            habits: those of the rows, (B, R, n).
            rows: (R,) int64, of the T windows.

        Returns:
            (B, R, L) float32.
        """
        at = rows[:, None] + torch.arange(self.length, device=rows.device)
        window = values.index_select(1, at.flatten()).reshape(-1, rows.shape[0], self.length)
        observed = window != 0.0
        unit = habits.errors[..., self.unit_lag : self.unit_lag + 1]
        shape = torch.where(observed, (window - habits.level) / unit, 0.0).to(torch.float32)
        phases = (*window.shape[:2], self.length // self.seasons[0], self.seasons[0])
        shape = shape.reshape(phases)
        mark = observed.to(torch.float32).reshape(phases)
        phase = shape.sum(dim=-2, keepdim=True) / mark.sum(dim=-2, keepdim=True).clamp(min=1.0)
        filled: Tensor = (shape + (1.0 - mark) * phase).reshape(window.shape)
        return filled


def _sums(values: Tensor, num: int) -> Tensor:
    """(B, V - num + 1): the sum of each `num` values that follow each other, of (B, V)."""
    sums = torch.nn.functional.pad(torch.cumsum(values, dim=1), (1, 0))
    return sums[:, num:] - sums[:, :-num]
