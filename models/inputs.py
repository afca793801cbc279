"""From a row to what the recurrence reads: numbers scaled, categories embedded, the calendar, the window."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.calendar import Calendar
from models.covariates import Ahead, Remembered
from models.embedding import Embedding, embedding_size
from models.frequency import Frequency
from models.rows import RowLayout
from models.scaling import Moments, RunningScaler, Unit
from models.state import State, StateInit
from models.window import Habits, Window

_CLIP = 20.0


@dataclass(frozen=True)
class Sight:
    """What is known at each of T rows besides the recurrence; a part that a model lacks is None.

    Attributes:
        unit: by the running scaler, (B, T, 1) each.
        values: (B, L + T) float64, the target as `Window` reads it; (B, L) from the state alone.
        habits: of the T windows that end there.
        future: (B, T, K, D) float32, what is known of the steps to come.
    """

    unit: Unit | None
    values: Tensor | None = None
    habits: Habits | None = None
    future: Tensor | None = None


class Inputs(nn.Module):
    """Splits a row into its columns and makes one vector of them.

    Features that are numbers go to the running scaler, categories to their embeddings: the scaler never
    sees a category, an index has no size. A static feature is remembered; a number among them is
    standardised by mean and deviation over the training series.
    """

    static_mean: Tensor
    static_deviation: Tensor

    def __init__(
        self,
        layout: RowLayout,
        *,
        categories: Sequence[int] = (),
        static: Sequence[int] = (),
        frequency: str = "",
        seasons: Sequence[int] = (),
        window: int = 0,
    ) -> None:
        """As in `models.forecaster.Architecture`."""
        super().__init__()
        self.layout = layout
        nums = self.nums = list(categories) or [0] * layout.num_features
        moving = [column for column in range(layout.num_features) if column not in static]
        self.numbers = [column for column in moving if not nums[column]]
        self.symbols = [column for column in moving if nums[column]]
        self.static_numbers = [column for column in static if not nums[column]]
        self.static_symbols = [column for column in static if nums[column]]
        self.static = [*self.static_numbers, *self.static_symbols]
        self.scaler = RunningScaler(len(self.numbers)) if self.numbers else None
        self.embeddings = nn.ModuleList(
            Embedding(nums[column], embedding_size(nums[column]))
            for column in [*self.symbols, *self.static_symbols]
        )
        self.window = Window(window, seasons) if seasons else None
        self.calendar = Calendar(Frequency.parse(frequency)) if layout.reads_time else None
        self.remembered = Remembered(len(self.static)) if self.static else None
        self.ahead = Ahead(len(layout.future) * layout.horizon) if layout.future else None
        num = len(self.static_numbers)
        for name, value in (("static_mean", 0.0), ("static_deviation", 1.0)):
            standard = torch.full((num,), value, dtype=torch.float64)
            self.register_buffer(name, standard, persistent=num > 0)

    @property
    def size(self) -> int:
        """I, numbers that the recurrence reads of a row."""
        nums = [self.nums[column] for column in (*self.symbols, *self.static_symbols)]
        size = sum(map(embedding_size, nums)) + len(self.static_numbers)
        of_target = 3 if self.window else 0
        size += self.scaler.input_size - of_target if self.scaler else 0
        size += self.window.feature_size if self.window else 0
        return size + (self.calendar.size if self.calendar else 0)

    @property
    def future_size(self) -> int:
        """D, numbers that are known of a step to come: of a feature its value and whether it is known."""
        nums = [self.nums[column] for column in self.layout.future]
        return sum(embedding_size(num) if num else 2 for num in nums)

    def state_init(self) -> dict[str, StateInit]:
        """Of each part that a model has."""
        inits: dict[str, StateInit] = {}
        for part in (self.scaler, self.window, self.calendar, self.remembered, self.ahead):
            if part is not None:
                inits |= part.state_init()
        return inits

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, Sight, State]:
        """Read a chunk.

        Args:
            x: (B, T, width) float64 by `layout`, raw units or indices of categories, NaN where missing.
            state: by name; not changed.

        Returns:
            (B, T, I) float32; what is known at each row besides; the next state.
        """
        parts: list[Tensor] = []
        after = State()
        unit = values = habits = future = moments = None
        if self.scaler is not None:
            scaled, after = self.scaler(_columns(x, self.numbers), state)
            unit, moments = scaled, scaled.moments
            # A window says of the target what the scaler would, of the present and not of all the past.
            if self.window is None:
                parts.append(scaled.inputs)
            elif len(self.numbers) > 1:
                parts.append(scaled.covariates)
        if self.window is not None:
            assert self.scaler is not None
            assert unit is not None
            recent, ring = self.window(x[..., 0], self.scaler.origin(after), unit, state)
            values, habits = recent.values, recent.habits
            parts.append(self.window.features(recent))
            after |= ring
        if self.calendar is not None:
            phases, clock = self.calendar(x[..., -1:], state)
            parts.append(phases)
            after |= clock
        if self.ahead is not None:
            ahead = x[..., self.layout.num_features : self.layout.num_values]
            after |= self.ahead(ahead)
            future = self._future(ahead, moments)
        parts += self._embedded(x)
        if self.remembered is not None:
            held, memory = self.remembered(_columns(x, self.static), state)
            parts += self._held(held)
            after |= memory
        joined = torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
        return joined, Sight(unit, values, habits, future), after

    def sight(self, state: State) -> Sight:
        """What is known after the last row, T = 1, from the state alone."""
        unit = values = habits = future = moments = None
        if self.scaler is not None:
            unit, moments = self.scaler.unit(state), self.scaler.moments(state)
        if self.window is not None and self.scaler is not None and unit is not None:
            values = self.window.newest(state)
            habits = self.window.held(self.scaler.origin(state), unit, state)
        if self.ahead is not None:
            future = self._future(self.ahead.newest(state), moments)
        return Sight(unit, values, habits, future)

    def target(self, x: Tensor, after: State) -> tuple[Tensor, Tensor]:
        """The target about its first value, (B, T, 1), and that value, (B, 1, 1); `after` the rows x."""
        assert self.scaler is not None
        origin = self.scaler.origin(after)
        return x[..., :1] - origin, origin

    def _embedded(self, x: Tensor) -> list[Tensor]:
        moving = list(self.embeddings)[: len(self.symbols)]
        return [embedding(x[..., column]) for column, embedding in zip(self.symbols, moving, strict=True)]

    def _held(self, held: Tensor) -> list[Tensor]:
        """Static features, numbers first, (B, T, n): what the recurrence reads of them."""
        num = len(self.static_numbers)
        parts = []
        if num:
            standard = (held[..., :num] - self.static_mean) / self.static_deviation
            parts.append(_known_or_zero(standard))
        for at, embedding in enumerate(list(self.embeddings)[len(self.symbols) :]):
            parts.append(embedding(held[..., num + at]))
        return parts

    def _future(self, ahead: Tensor, moments: Moments | None) -> Tensor:
        """(B, T, K, D) float32 of the columns ahead, (B, T, num K)."""
        parts = []
        for at, column in enumerate(self.layout.future):
            steps = ahead[..., at * self.layout.horizon : (at + 1) * self.layout.horizon]
            if self.nums[column]:
                parts.append(self.embeddings[self.symbols.index(column)](steps))
                continue
            assert moments is not None
            number = self.numbers.index(column)
            mean, deviation = (part[..., number : number + 1] for part in (moments.mean, moments.deviation))
            known = (steps == steps).to(torch.float32)
            parts.append(torch.stack([_known_or_zero((steps - mean) / deviation), known], dim=-1))
        return torch.cat(parts, dim=-1)


def _known_or_zero(standard: Tensor) -> Tensor:
    """float32, clipped; zero for NaN."""
    return torch.where(standard == standard, standard, 0.0).clamp(-_CLIP, _CLIP).to(torch.float32)


def _columns(x: Tensor, columns: Sequence[int]) -> Tensor:
    """Those columns of x, as one slice where they follow each other."""
    first, last = columns[0], columns[-1]
    if all(after == before + 1 for before, after in pairwise(columns)):
        return x if len(columns) == x.shape[-1] else x[..., first : last + 1]
    return torch.cat([x[..., column : column + 1] for column in columns], dim=-1)
