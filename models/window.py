"""The target's recent rows, kept in a ring, and what they say of its level, its scale and its habits.

Shapes: B batch, T time, L rows of the window, R rows that a forecast is made at, S lags, C sums.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.filling import kept
from models.scaling import Unit
from models.state import State, StateInit

_RING, _SUMS = "window", "window_sums"
# Features are a few units wide; further out only says "far".
_CLIP = 5.0
# The exporter writes constants as float32; squares of such values, summed, still are numbers.
_LEAST, _MOST = 1e-30, 1e38


@dataclass(frozen=True)
class Habits:
    """What the window that ends at a row says of the target, each (B, T, n) float64, raw units.

    It is said of the window's last rows, so many that each has a row one season before it in the window.

    Attributes:
        level: (B, T, 1) the mean.
        deviation: (B, T, 1) the standard deviation, positive.
        errors: (B, T, S) mean |y_t - y_{t-lag}|, by lag, positive: the error of that naive forecast.
    """

    level: Tensor
    deviation: Tensor
    errors: Tensor

    def at(self, rows: Tensor) -> "Habits":
        """Those of some rows, by index (R,)."""
        return Habits(*(part.index_select(1, rows) for part in (self.level, self.deviation, self.errors)))


@dataclass(frozen=True)
class Recent:
    """A chunk as a window reads it.

    Attributes:
        values: (B, L + T) float64, the ring and the chunk behind it, zero where missing.
        habits: of the T windows that end in the chunk.
        seen: (B, T, 1) float64, whether the newest value was observed.
        newest: (B, T, 1) float64, that value about the level, zero where missing.
        changes: (B, T, S) float64, and it less the one a lag before, likewise.
    """

    values: Tensor
    habits: Habits
    seen: Tensor
    newest: Tensor
    changes: Tensor


class Window(nn.Module):
    """A ring of the target's last L values, as `models.filling.kept` keeps them, and sums over its rows.

    Sums are kept in two parts, so that nothing accumulates however long a stream is: those since the last
    row whose number is a multiple of W, the rows that are summed over, and those of the W rows before it
    that have not left yet. At the next such row the one takes the place of the other, and nothing is left
    of what it was before. Values are summed about the series' first one.
    """

    behind: Tensor
    starts: Tensor

    def __init__(self, length: int, seasons: Sequence[int]) -> None:
        """`length` is a multiple of the shortest season, `seasons` ascend."""
        super().__init__()
        self.length = length
        self.seasons = tuple(seasons)
        self.lags = tuple(sorted({1, *seasons}))
        # The lag of the naive forecast that errors are measured by.
        self.unit_lag = self.lags.index(seasons[0])
        self.feature_size = 2 * len(self.lags) + 4
        self.num_summed = length - self.lags[-1]
        # Observations, pairs by lag, changes by lag, whether a row changed, the value, its square.
        self.sizes = (1, len(self.lags), len(self.lags), 1, 1, 1)
        # In the ring and the chunk: what enters with row 0, what leaves, and the rows a lag before either.
        behind = [[end - lag for lag in (0, *self.lags)] for end in (length, self.lags[-1])]
        self.register_buffer("behind", torch.tensor([behind]).transpose(0, 1), persistent=False)
        starts = torch.tensor([[[-float(self.num_summed), 0.0]]], dtype=torch.float64)
        self.register_buffer("starts", starts, persistent=False)

    def state_init(self) -> dict[str, StateInit]:
        """The ring, (L,) float64, the oldest first; the sums.

        (2, C + 1): those of rows before and since, see the class; behind them the number of rows since, and
        the value that sums are about, zero while there is none.
        """
        return {
            _RING: StateInit((self.length,), torch.float64),
            _SUMS: StateInit((2, sum(self.sizes) + 1), torch.float64),
        }

    def holding(self, history: Tensor) -> State:
        """The state of a ring that holds history (B, L), NaN where missing."""
        ring = kept(history)
        num = (ring != 0.0).sum(dim=1).clamp(min=1)
        origin = kept((ring.sum(dim=1) / num)[:, None, None])
        at = self.behind[1] + torch.arange(self.num_summed, device=history.device)[:, None]
        before = self._signals(ring[:, at], origin)[0].sum(dim=1, keepdim=True)
        sums = torch.cat([before, torch.zeros_like(before)], dim=1)
        more = torch.cat([torch.zeros_like(origin), origin], dim=1)
        return {_RING: ring, _SUMS: torch.cat([sums, more], dim=2)}

    def forward(self, target: Tensor, first: Tensor, unit: Unit, state: State) -> tuple[Recent, State]:
        """Read a chunk.

        Args:
            target: (B, T) float64, NaN where missing.
            first: (B, 1, 1) float64, the series' first value, zero while none is known.
            unit: the target's by all history, (B, T, 1) each: where a window shows nothing, the level and the
                deviation are its location and scale.
            state: by name; not changed.
        """
        fresh = kept(target).clamp(-_MOST, _MOST)
        values = torch.cat([state[_RING], fresh], dim=1)
        sums, since, origin = self._parts(state, first)
        ahead = torch.arange(target.shape[1], device=target.device)
        # What enters with a row and what leaves, and what each is compared to: (B, 2, T, S + 1).
        at = (self.behind + ahead[:, None]).flatten()
        near = values.index_select(1, at).reshape(values.shape[0], 2, -1, len(self.lags) + 1)
        signals, changes = self._signals(near, origin.unsqueeze(1))
        entering, leaving = signals[:, 0], signals[:, 1]
        running = sums.sum(dim=1, keepdim=True) + torch.cumsum(entering - leaving, dim=1)
        habits = self._habits(running, origin, unit)
        seen = entering[..., :1]
        newest = (fresh.unsqueeze(-1) - habits.level) * seen
        items = torch.cat([sums, entering, -leaving], dim=1)
        after = {_RING: values[:, -self.length :], _SUMS: self._after(items, since, origin, ahead)}
        return Recent(values, habits, seen, newest, changes[:, 0]), after

    def held(self, first: Tensor, unit: Unit, state: State) -> Habits:
        """The habits at the last row, T = 1, from the state alone; see `forward`."""
        sums, _, origin = self._parts(state, first)
        return self._habits(sums.sum(dim=1, keepdim=True), origin, unit)

    def _parts(self, state: State, first: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The sums (B, 2, C), the rows since the last block's end and the sums' origin, (B, 1, 1) each."""
        sums, more = torch.split(state[_SUMS], [sum(self.sizes), 1], dim=2)
        since, origin = more.chunk(2, dim=1)
        return sums, since, torch.where(origin == 0.0, first, origin)

    def _signals(self, near: Tensor, origin: Tensor) -> tuple[Tensor, Tensor]:
        """What is summed of rows (..., C), and their changes (..., S), of rows and those a lag before."""
        mark = near.to(torch.bool).to(torch.float64)
        parts = [1, len(self.lags)]
        now, before = torch.split(near, parts, dim=-1)
        seen, seen_before = torch.split(mark, parts, dim=-1)
        pairs = seen * seen_before
        changes = (now - before) * pairs
        sizes = changes.abs()
        moved = sizes[..., :1].to(torch.bool).to(torch.float64)
        offset = (now - origin) * seen
        return torch.cat([seen, pairs, sizes, moved, offset, offset * offset], dim=-1), changes

    def _after(self, items: Tensor, since: Tensor, origin: Tensor, ahead: Tensor) -> Tensor:
        """The next sums: each of the items (B, 2 + 2 T, C) belongs to the rows before, since, or to neither.

        The items are the sums as they were, what entered with each row, and what left.
        """
        rows = ahead.to(torch.float64).reshape(1, 1, -1)
        block = torch.cat([self.starts, rows, rows - self.num_summed], dim=2)
        block = torch.floor((since + block) / self.num_summed)
        total = since + ahead.shape[0]
        ends = torch.floor((total + self.starts.transpose(1, 2)) / self.num_summed)
        sums = (block == ends).to(torch.float64) @ items
        more = torch.cat([total - self.num_summed * ends[:, 1:], origin], dim=1)
        return torch.cat([sums, more], dim=2)

    def _habits(self, sums: Tensor, origin: Tensor, unit: Unit) -> Habits:
        """Of sums over windows (B, T, C)."""
        seen, pairs, changes, moved, total, squares = torch.split(sums, list(self.sizes), dim=-1)
        some = seen.clamp(min=1.0)
        mean = total / some
        level = torch.where(seen.to(torch.bool), origin + mean, unit.location)
        # What is left of a sum when all has left it may be anything near zero; the counts are exact.
        changes, pairs = changes.clamp(min=_LEAST), pairs.clamp(min=0.0)
        least = 0.5 * changes[..., :1] / pairs[..., :1].clamp(min=1.0)
        deviation = torch.sqrt(torch.maximum(squares / some - mean * mean, least * least))
        deviation = torch.where(moved.to(torch.bool), deviation, unit.scale)
        # As if one more pair had differed by the deviation: a few equal pairs are no proof of silence.
        return Habits(level, deviation, (changes + deviation) / (pairs + 1.0))

    def features(self, recent: Recent) -> Tensor:
        """(B, T, feature_size) float32: the newest value and its changes, and the logs of the scales."""
        habits = recent.habits
        unit = habits.errors[..., self.unit_lag : self.unit_lag + 1]
        size = (habits.level.abs() / habits.deviation).clamp(1e-3, 1e3)
        scales = torch.cat([habits.errors, habits.deviation], dim=-1) / unit
        logs = torch.log(torch.cat([scales, size], dim=-1))
        parts = [recent.newest / habits.deviation, recent.changes / (4.0 * unit), logs, recent.seen]
        return torch.cat(parts, dim=-1).to(torch.float32).clamp(-_CLIP, _CLIP)

    def newest(self, state: State) -> Tensor:
        """(B, L): the one window that the state holds."""
        return state[_RING]

    def windows(self, values: Tensor, num_rows: int, rows: Tensor | None = None) -> Tensor:
        """Those that end at some rows, (L, N), N = R B: what is done to a window is done to all of them.

        Args:
            values: (B, L + T), see `Recent`; (B, L) for the one that ends there.
            num_rows: R.
            rows: (R,) int64, of a chunk; all where it is None.
        """
        columns = values.transpose(0, 1)
        if values.shape[1] == self.length:
            return columns
        at = torch.arange(num_rows, device=values.device) if rows is None else rows
        at = at + torch.arange(1, self.length + 1, device=values.device)[:, None]
        return columns.index_select(0, at.flatten()).reshape(self.length, -1)

    def shapes(self, windows: Tensor, level: Tensor) -> Tensor:
        """The windows about the level, raw units.

        A missing value is the mean of its phase in the shortest season, as far as the window shows it, else
        the level.

        Args:
            windows: (L, N) float64, zero where missing.
            level: (1, N).

        Returns:
            (L, N) float32.
        """
        phases = (self.length // self.seasons[0], self.seasons[0], -1)
        known = windows.to(torch.bool).to(torch.float32)
        shape = (windows - level).to(torch.float32) * known
        shape, known = shape.reshape(phases), known.reshape(phases)
        phase = shape.sum(dim=0, keepdim=True) / known.sum(dim=0, keepdim=True).clamp(min=1.0)
        filled: Tensor = (shape + (1.0 - known) * phase).reshape(self.length, -1)
        return filled
