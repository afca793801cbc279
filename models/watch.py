"""What looks back at a session's own forecasts when their values come: calibration and anomaly scores."""

from collections.abc import Sequence

from torch import Tensor, nn

from models.anomaly import Anomaly
from models.calibration import Calibration
from models.spread import Spread
from models.state import State, StateInit


class Watch(nn.Module):
    """Either or both; a row is scored by the forecast as it was served, corrected if it was."""

    def __init__(self, levels: Sequence[float], horizon: int, calibrate: bool, anomaly: bool) -> None:
        super().__init__()
        self.calibration = Calibration(levels, horizon) if calibrate else None
        self.anomaly = Anomaly(levels) if anomaly else None

    def state_init(self) -> dict[str, StateInit]:
        """Their states."""
        parts = (self.calibration, self.anomaly)
        return {name: init for part in parts if part for name, init in part.state_init().items()}

    def forward(
        self, y: Tensor, origin: Tensor, spread: Spread, state: State
    ) -> tuple[Spread, Tensor | None, State]:
        """Look at a chunk.

        Args:
            y: (B, T, 1) float64, the target about the origin, NaN where missing.
            origin: (B, 1, 1) float64, a point that never changes.
            spread: the model's own forecasts after each row.
            state: by name; not changed.

        Returns:
            The forecasts to serve, the rows' anomaly scores (B, T, 2), and the next states.
        """
        after, scores = State(), None
        if self.calibration is not None:
            offsets, after = self.calibration(y, spread.about(origin), state)
            spread = self.calibration.corrected(spread, offsets)
        if self.anomaly is not None:
            served = spread.about(origin)
            next_step = served.quantiles[..., 0, :] + served.point[..., 0]
            scores, watched = self.anomaly(y, next_step, served.width[..., 0, :1], state)
            after = {**after, **watched}
        return spread, scores, after

    def read_out(self, spread: Spread, state: State) -> Spread:
        """The forecast to serve, from the state alone."""
        if self.calibration is None:
            return spread
        return self.calibration.corrected(spread, self.calibration.offsets(state))
