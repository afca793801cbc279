"""The target's recent rows, kept in a ring, and what they say of its level, its scale and its habits.

Shapes: B batch, T time, L rows of the window, R rows that a forecast is made at, S lags.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.filling import kept
from models.scaling import Unit
from models.state import State, StateInit

_STATE = "window"
# Features are a few units wide; further out only says "far".
_CLIP = 5.0


@dataclass(frozen=True)
class Habits:
    """What the window that ends at a row says of the target, each (B, T, n) float64, raw units.

    All but the newest values is said of the window's last rows, so many that each has a row one season
    before it in the window.

    Attributes:
        level: (B, T, 1) the mean.
        deviation: (B, T, 1) the standard deviation, positive.
        errors: (B, T, S) mean |y_t - y_{t-lag}|, by lag, positive: the error of that naive forecast.
        latest: (B, T, S + 1) the newest value about the level, and that less the one a lag before; zero
            where missing.
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

    def holding(self, history: Tensor) -> State:
        """The state of a ring that holds history (B, L), NaN where missing."""
        return {_STATE: kept(history)}

    def extended(self, target: Tensor, state: State) -> Tensor:
        """(B, L + T) float64: the ring, and the chunk's target (B, T) behind it."""
        return torch.cat([state[_STATE], kept(target)], dim=1)

    def state_after(self, extended: Tensor) -> State:
        """The next state: the newest L values."""
        return {_STATE: extended[:, -self.length :]}

    def newest(self, state: State) -> Tensor:
        """(B, L): the one window that the state holds."""
        return state[_STATE]

    def habits(self, values: Tensor, unit: Unit) -> Habits:
        """Of each of the T windows in values (B, L - 1 + T) float64, zero where missing.

        Where a window shows nothing, the level and the deviation are the location and scale of `unit`,
        (B, T, 1) each. Every sum is taken at once, of signals stacked as (B, C, N): a served row pays for
        operators.
        """
        longest, num = self.lags[-1], len(self.lags)
        count = (values != 0.0).sum(dim=1, keepdim=True).clamp(min=1)
        centre = values.sum(dim=1, keepdim=True) / count
        offset = torch.where(values == 0.0, torch.nan, values - centre)
        now = offset[:, longest:]
        before = [offset[:, longest - lag : -lag] for lag in self.lags]
        signal = torch.stack([now, *(now - one for one in before)], dim=1)
        known = signal == signal
        signal = torch.where(known, signal, 0.0)
        sized = torch.cat([known.to(torch.float64), signal.abs(), signal[:, :1], signal[:, :1] ** 2], dim=1)
        sums = torch.nn.functional.pad(torch.cumsum(sized, dim=2), (1, 0))
        width = self.length - longest
        sums = (sums[..., width:] - sums[..., :-width]).transpose(1, 2)
        counts, _, changes, total, squares = torch.split(sums, [num + 1, 1, num, 1, 1], dim=2)
        seen = counts[..., :1].clamp(min=1.0)
        mean = total / seen
        level = torch.where(counts[..., :1] > 0.0, mean + centre.unsqueeze(-1), unit.location)
        deviation = _deviation(squares / seen - mean * mean, counts[..., 1:2], changes[..., :1], unit)
        # As if one more pair had differed by the deviation: a few equal pairs are no proof of silence.
        errors = (changes + deviation) / (counts[..., 1:] + 1.0)
        newest = signal[..., width - 1 :].transpose(1, 2)
        mark = known[:, :1, width - 1 :].to(torch.float64).transpose(1, 2)
        about = torch.cat([mean * mark, torch.zeros_like(errors)], dim=2)
        return Habits(level, deviation, errors, newest - about, mark)

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


def _deviation(variance: Tensor, num_changes: Tensor, changed: Tensor, unit: Unit) -> Tensor:
    """Positive, (B, T, 1). A sum of changes is exactly zero where nothing changed, a variance is not."""
    least = 0.5 * changed / num_changes.clamp(min=1.0)
    deviation = torch.sqrt(torch.maximum(variance, least * least))
    return torch.where(changed > 0.0, deviation, unit.scale)
