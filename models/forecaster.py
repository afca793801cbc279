"""The forecaster: everything between a raw observation and a raw-unit forecast."""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from models.cells import CELLS
from models.covariates import FutureEffect
from models.decoders import DECODERS, RollOut
from models.heads import HEADS, Head
from models.inputs import Inputs, Sight
from models.manifest import Predicts, Task
from models.rows import RowLayout
from models.scaling import Unit
from models.skip import SeasonalSkip
from models.spread import Spread
from models.state import State, StateInit
from models.watch import Watch


@dataclass(frozen=True)
class Architecture:
    """What fixes a forecaster's shape; enough to build it again before loading weights.

    Either quantile levels or labels are the columns of a forecast, by `task`. `categories` says of each
    feature how many it has, 0 for a number; empty where all features are numbers. `look_ahead` is what each
    layer waits for, see `models.cells.bidirectional`. `future` and `static` are indices of features.
    `calibrate` and `anomaly` are as in `models.watch`.

    With `seasons` a forecast starts from seasonal naive ones, see `models.skip`, of a `window` of rows; with
    `maps_window` from a learned map of it as well. Without, it starts from the last value.
    """

    cell: str
    num_features: int
    hidden_size: int
    num_layers: int
    dropout: float
    horizon: int
    quantile_levels: tuple[float, ...]
    residual: bool = False
    look_ahead: int = 0
    task: Task = "regression"
    predicts: Predicts = "ahead"
    head: str = "quantile"
    decoder: str = "direct"
    num_paths: int = 0
    labels: tuple[str, ...] = ()
    categories: tuple[int, ...] = ()
    future: tuple[int, ...] = ()
    static: tuple[int, ...] = ()
    reads_time: bool = False
    calibrate: bool = False
    anomaly: bool = False
    frequency: str = ""
    seasons: tuple[int, ...] = ()
    window: int = 0
    maps_window: bool = False

    @property
    def row_layout(self) -> RowLayout:
        """The columns of a row."""
        return RowLayout(self.num_features, self.future, self.horizon, self.reads_time)


class Forecaster(nn.Module):
    """A pure step and a read-out: (x_t, state_t) -> state_{t+1}, and state -> forecast.

    Axes: B batch, T time, F features, K horizon, P numbers of the head, Q quantile levels or labels.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.inputs = Inputs(
            a.row_layout,
            categories=a.categories,
            static=a.static,
            frequency=a.frequency,
            seasons=a.seasons,
            window=a.window,
        )
        depth = a.num_layers, a.dropout, a.residual, a.look_ahead
        self.cell = CELLS[a.cell](self.inputs.size, a.hidden_size, *depth)
        watched = a.calibrate or a.anomaly
        if watched and (a.decoder == "roll-out" or self.cell.look_ahead or a.task != "regression"):
            raise ValueError(
                "calibrate, anomaly: expected a regression, not rolled out, that waits for no rows"
            )
        make = DECODERS[a.decoder] if a.decoder != "roll-out" else partial(RollOut, num_paths=a.num_paths)
        size = self.cell.hidden_size
        self.dropout = nn.Dropout(a.dropout)
        self.decoder = make(self._head, size, a.horizon)
        num_steps = 1 if a.decoder == "roll-out" else a.horizon
        window = self.inputs.window
        self.skip = SeasonalSkip(window, size, num_steps, a.maps_window) if window else None
        self.future = FutureEffect(size, self.inputs.future_size, a.horizon) if a.future else None
        self.watch = Watch(a.quantile_levels, a.horizon, a.calibrate, a.anomaly) if watched else None

    def _head(self, hidden_size: int, horizon: int) -> Head:
        a = self.architecture
        return HEADS[a.head](hidden_size, horizon, a.quantile_levels, len(a.labels))

    @property
    def head(self) -> Head:
        """What makes the columns of a forecast, and the loss."""
        return self.decoder.head

    @property
    def first(self) -> "Forecaster":
        """Itself, as `models.ensemble.Ensemble` has a first member."""
        return self

    @property
    def members(self) -> "list[Forecaster]":
        """Itself alone."""
        return [self]

    def state_init(self) -> dict[str, StateInit]:
        """Every state tensor of the model, in the order of the exported graph's inputs."""
        watched = self.watch.state_init() if self.watch else {}
        return {**self.cell.state_init(), **self.inputs.state_init(), **watched}

    def scaled(
        self, x: Tensor, state: State, rows: Tensor | None = None
    ) -> tuple[Tensor, Unit | None, State]:
        """Advance over a chunk and stop at the head's numbers: training's loss is taken there.

        Args:
            x: (B, T, width) float64 by `models.rows.RowLayout`, raw units, NaN where missing.
            state: by name, (B, *shape); not changed.
            rows: (R,) int64, the rows that a forecast is made at, all T where it is None.

        Returns:
            The head's numbers (B, R, K, P) float32, of one step where more are rolled out; the unit of the
            target at those rows, (B, R, 1 or K), where the first feature is a number; the next state.
        """
        hidden, sight, after = self._advance(x, state)
        if rows is not None:
            hidden = hidden.index_select(1, rows)
        hidden = self.dropout(hidden)
        return self.decoder(hidden), self._unit(sight, hidden, rows), after

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Forecast (B, T, K, Q) float32, raw units, made after each row, and the next state."""
        forecast, _, after = self.scored(x, state)
        return forecast, after

    def scored(self, x: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        """Forecast after each row, the rows' anomaly scores (B, T, 2) or None, and the next state."""
        if isinstance(self.decoder, RollOut):
            forecast, after = self._row_by_row(x, state)
            return forecast, None, after
        if self.watch is None:
            hidden, sight, after = self._advance(x, state)
            return self.head.answer(self._numbers(hidden), self._unit(sight, hidden)), None, after
        spread, after = self.spread(x, state)
        spread, scores, watched = self.watch(*self.inputs.target(x, after), spread, state)
        return spread.raw, scores, {**after, **watched}

    def spread(self, x: Tensor, state: State) -> tuple[Spread, State]:
        """The model's own forecast after each row, as a watch reads it, and the next state; see `scaled`."""
        hidden, sight, after = self._advance(x, state)
        unit = self._unit(sight, hidden)
        assert unit is not None  # a target that is watched is a number
        return self._spread(self._numbers(hidden), unit), after

    def _numbers(self, hidden: Tensor) -> Tensor:
        """(B, T, K, P). Two axes for the head: ONNX adds a bias within the product of matrices, but not of
        a batch of them.
        """
        numbers: Tensor = self.decoder(hidden.flatten(0, 1))
        return numbers.reshape(-1, hidden.shape[1], *numbers.shape[1:])

    def read_out(self, state: State) -> Tensor:
        """Forecast (B, K, Q) float32, raw units, from the state alone: that of the last row seen."""
        if isinstance(self.decoder, RollOut):
            return self._rolled_out(self.decoder, state)
        if self.watch is not None:
            return self.watch.read_out(self.spread_out(state), state).raw
        hidden = self.cell.output(state)
        return self.head.answer(self.decoder(hidden), self.unit(state, hidden))

    def spread_out(self, state: State) -> Spread:
        """`spread` after the last row, from the state alone."""
        hidden = self.cell.output(state)
        unit = self.unit(state, hidden)
        assert unit is not None
        return self._spread(self.decoder(hidden), unit)

    def unit(self, state: State, hidden: Tensor) -> Unit | None:
        """What the head's numbers are in after the last row, (B, 1 or K); its output is `hidden`, (B, H)."""
        unit = self._unit(self.inputs.sight(state), hidden.unsqueeze(1))
        return Unit(*(part.squeeze(1) for part in (unit.location, unit.scale, unit.mean))) if unit else None

    def _unit(self, sight: Sight, hidden: Tensor, rows: Tensor | None = None) -> Unit | None:
        """At some rows, whose `hidden` (B, R, H) is given, or at all T."""
        unit = sight.unit
        if unit is not None and rows is not None:
            unit = unit.at(rows)
        if self.skip is not None:
            assert self.inputs.window is not None
            assert sight.values is not None
            assert sight.habits is not None
            habits = sight.habits if rows is None else sight.habits.at(rows)
            windows = self.inputs.window.windows(sight.values, hidden.shape[1], rows)
            unit = self.skip(windows, habits, hidden)
        if self.future is not None:
            assert unit is not None
            assert sight.future is not None
            values = sight.future if rows is None else sight.future.index_select(1, rows)
            unit = self.future.moved(unit, self.future(values, hidden), of_counts=self.head.counts)
        return unit

    def advance(self, x: Tensor, state: State) -> State:
        """The next state alone; see `scaled`."""
        return self._advance(x, state)[-1]

    def _spread(self, numbers: Tensor, unit: Unit) -> Spread:
        """The forecast about a point near it, where small differences keep their digits."""
        # One point for all steps: of a location for each, the level they are about.
        centre = unit.location if self.skip is None and self.future is None else unit.mean
        quantiles = self.head.answer(numbers, replace(unit, location=unit.location - centre))
        point = torch.zeros_like(unit.location) if self.head.counts else centre
        return Spread(quantiles, self.head.size(unit), point)

    def ahead(self, draws: Tensor, state: State) -> tuple[Tensor, State]:
        """One step of a roll-out: what it adds to the forecast, and the state after it was fed back.

        Args:
            draws: of this step, as `RollOut.begin` gives them.
            state: N copies; not changed.
        """
        assert isinstance(self.decoder, RollOut)
        hidden = self.cell.output(state)
        unit = self.unit(state, hidden)
        assert unit is not None  # a target that is rolled out is a number
        made, row = self.decoder.step(hidden, unit, draws, self.architecture.row_layout.width)
        return made, self.advance(row, state)

    def _rolled_out(self, decoder: RollOut, state: State) -> Tensor:
        copies, draws = decoder.begin(state)
        steps = []
        for of_step in draws:
            made, copies = self.ahead(of_step, copies)
            steps.append(made)
        return decoder.finish(torch.stack(steps))

    def _row_by_row(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """A roll-out needs the state after each row, and a chunk's recurrence gives the last one alone."""
        forecasts = []
        for row in range(x.shape[1]):
            state = self.advance(x[:, row : row + 1], state)
            forecasts.append(self.read_out(state))
        return torch.stack(forecasts, dim=1), state

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, Sight, State]:
        """The recurrent output (B, T, H), what is known at each row besides, and the next state.

        A watch's states are as they were: it looks back at forecasts, and none is made here.
        """
        inputs, sight, after = self.inputs(x, state)
        hidden, cell_after = self.cell.sequence(inputs, state)
        watched = {name: state[name] for name in self.watch.state_init()} if self.watch else {}
        return hidden, sight, {**cell_after, **after, **watched}
