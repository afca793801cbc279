"""The forecaster: everything between a raw observation and a raw-unit forecast."""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from models.cells import CELLS
from models.decoders import DECODERS, RollOut
from models.heads import HEADS, Head
from models.inputs import Inputs
from models.manifest import Predicts, Task
from models.rows import RowLayout
from models.scaling import Unit
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
        self.inputs = Inputs(a.num_features, a.categories)
        depth = a.num_layers, a.dropout, a.residual, a.look_ahead
        self.cell = CELLS[a.cell](self.inputs.size, a.hidden_size, *depth)
        watched = a.calibrate or a.anomaly
        if watched and (a.decoder == "roll-out" or self.cell.look_ahead or a.task != "regression"):
            raise ValueError(
                "calibrate, anomaly: expected a regression, not rolled out, that waits for no rows"
            )
        make = DECODERS[a.decoder] if a.decoder != "roll-out" else partial(RollOut, num_paths=a.num_paths)
        self.decoder = make(self._head, self.cell.hidden_size, a.horizon)
        self.watch = Watch(a.quantile_levels, a.horizon, a.calibrate, a.anomaly) if watched else None

    def _head(self, hidden_size: int, horizon: int) -> Head:
        a = self.architecture
        return HEADS[a.head](hidden_size, horizon, a.quantile_levels, len(a.labels))

    @property
    def head(self) -> Head:
        """What makes the columns of a forecast, and the loss."""
        return self.decoder.head

    def state_init(self) -> dict[str, StateInit]:
        """Every state tensor of the model, in the order of the exported graph's inputs."""
        watched = self.watch.state_init() if self.watch else {}
        return {**self.cell.state_init(), **self.inputs.state_init(), **watched}

    def scaled(self, x: Tensor, state: State) -> tuple[Tensor, Unit | None, State]:
        """Advance over a chunk and stop at the head's numbers: training's loss is taken there.

        Args:
            x: (B, T, width) float64 by `models.rows.RowLayout`, raw units, NaN where missing.
            state: by name, (B, *shape); not changed.

        Returns:
            The head's numbers (B, T, K, P) float32, of one step where more are rolled out; the unit of the
            target after each row, (B, T, 1), where the first feature is a number; the next state.
        """
        hidden, unit, after = self._advance(x, state)
        if self.watch is not None:  # it has no part in training
            after |= {name: state[name] for name in self.watch.state_init()}
        return self.decoder(hidden), unit, after

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Forecast (B, T, K, Q) float32, raw units, made after each row, and the next state."""
        forecast, _, after = self.scored(x, state)
        return forecast, after

    def scored(self, x: Tensor, state: State) -> tuple[Tensor, Tensor | None, State]:
        """Forecast after each row, the rows' anomaly scores (B, T, 2) or None, and the next state."""
        if isinstance(self.decoder, RollOut):
            forecast, after = self._row_by_row(x, state)
            return forecast, None, after
        hidden, unit, after = self._advance(x, state)
        # Two axes for the head: ONNX adds a bias within the product of matrices, but not of a batch of them.
        numbers = self.decoder(hidden.flatten(0, 1)).unflatten(0, (-1, x.shape[1]))
        if self.watch is None:
            return self.head.answer(numbers, unit), None, after
        assert unit is not None
        assert self.inputs.scaler is not None  # a target that is watched is a number
        y = x[..., :1] - (origin := self.inputs.scaler.origin(after))
        spread, scores, watched = self.watch(y, origin, self._spread(numbers, unit), state)
        return spread.raw, scores, {**after, **watched}

    def read_out(self, state: State) -> Tensor:
        """Forecast (B, K, Q) float32, raw units, from the state alone: that of the last row seen."""
        if isinstance(self.decoder, RollOut):
            return self._rolled_out(self.decoder, state)
        numbers, unit = self.decoder(self.cell.output(state)), self.inputs.unit(state)
        if self.watch is None:
            return self.head.answer(numbers, unit)
        assert unit is not None
        return self.watch.read_out(self._spread(numbers, unit), state).raw

    def advance(self, x: Tensor, state: State) -> State:
        """The next state alone; see `forward`."""
        return self._advance(x, state)[-1]

    def _spread(self, numbers: Tensor, unit: Unit) -> Spread:
        """The forecast about the target's last value, where small differences keep their digits."""
        zero = unit.location.new_zeros(1, 1)
        quantiles = self.head.answer(numbers, replace(unit, location=zero))
        return Spread(quantiles, self.head.size(unit), zero if self.head.counts else unit.location)

    def ahead(self, draws: Tensor, state: State) -> tuple[Tensor, State]:
        """One step of a roll-out: what it adds to the forecast, and the state after it was fed back.

        Args:
            draws: of this step, as `RollOut.begin` gives them.
            state: N copies; not changed.
        """
        assert isinstance(self.decoder, RollOut)
        unit = self.inputs.unit(state)
        assert unit is not None  # a target that is rolled out is a number
        hidden = self.cell.output(state)
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

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, Unit | None, State]:
        """The recurrent output (B, T, H), what the scaler saw up to each row, and the next state."""
        a = self.architecture
        if a.row_layout.width > a.num_features:
            x = x[..., : a.num_features]
        inputs, unit, scaler_next = self.inputs(x, state)
        hidden, cell_next = self.cell.sequence(inputs, state)
        return hidden, unit, {**cell_next, **scaler_next}
