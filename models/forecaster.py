"""The forecaster: everything between a raw observation and a raw-unit forecast."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.cells import CELLS
from models.heads import QuantileHead
from models.scaling import RunningScaler, Scaled
from models.state import State, StateInit


@dataclass(frozen=True)
class Architecture:
    """What fixes a forecaster's shape; enough to build it again before loading weights."""

    cell: str
    num_features: int
    hidden_size: int
    num_layers: int
    dropout: float
    horizon: int
    quantile_levels: tuple[float, ...]

    @property
    def centre(self) -> int:
        """Index of the level nearest the median."""
        return min(range(len(self.quantile_levels)), key=lambda i: abs(self.quantile_levels[i] - 0.5))


class Forecaster(nn.Module):
    """A pure step and a read-out: (x_t, state_t) -> state_{t+1}, and state -> forecast.

    Axes: B batch, T time, F features, K horizon, Q quantile levels.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.scaler = RunningScaler(a.num_features)
        self.cell = CELLS[a.cell](self.scaler.input_size, a.hidden_size, a.num_layers, a.dropout)
        self.head = QuantileHead(self.cell.hidden_size, a.horizon, len(a.quantile_levels), a.centre)

    def state_init(self) -> dict[str, StateInit]:
        """Every state tensor of the model, in the order of the exported graph's inputs."""
        return {**self.cell.state_init(), **self.scaler.state_init()}

    def scaled(self, x: Tensor, state: State) -> tuple[Tensor, Tensor, Tensor, State]:
        """Advance over a chunk, with forecasts left in scaled units (training's loss is taken there).

        Args:
            x: (B, T, F) float64, raw units, NaN where missing.
            state: by name, (B, *shape); not changed.

        Returns:
            Scaled quantiles (B, T, K, Q) float32; location and scale (B, T) float64; next state.
        """
        hidden, scaled, after = self._advance(x, state)
        return self.head(hidden), scaled.location[..., 0], scaled.scale[..., 0], after

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Forecast (B, T, K, Q) float32, raw units, made after each row, and the next state."""
        hidden, scaled, after = self._advance(x, state)
        # Two axes for the head: ONNX adds a bias within the product of matrices, but not of a batch of them.
        quantiles = self.head(hidden.flatten(0, 1)).unflatten(0, (-1, x.shape[1]))
        return _raw_units(quantiles, scaled.location, scaled.scale), after

    def read_out(self, state: State) -> Tensor:
        """Forecast (B, K, Q) float32, raw units, from the state alone: that of the last row seen."""
        location, scale = self.scaler.location_and_scale(state)
        return _raw_units(self.head(self.cell.output(state)), location, scale)

    def _advance(self, x: Tensor, state: State) -> tuple[Tensor, Scaled, State]:
        """The recurrent output (B, T, H), what the scaler made of the rows, and the next state."""
        scaled, scaler_next = self.scaler(x, state)
        hidden, cell_next = self.cell.sequence(scaled.inputs, state)
        return hidden, scaled, {**cell_next, **scaler_next}


def _raw_units(quantiles: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """location + scale * quantiles, float32: (..., K, Q) with location and scale (..., 1).

    In float32, as the answer is: float64 in between would move its last digit at most.
    """
    location, scale = (value.to(torch.float32).unsqueeze(-1) for value in (location, scale))
    return location + scale * quantiles
