"""Results: what came back for some rows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from statecast.v1 import forecast_pb2

Quantiles = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Forecast:
    """The next steps of a series, as quantiles in the unit of the target.

    Attributes:
        position: rows the session had consumed when the forecast was made.
        values: (K, Q) float32, K steps by Q quantile levels; read-only.
        quantile_levels: Q levels, ascending: the columns of `values`.
    """

    position: int
    values: Quantiles
    quantile_levels: tuple[float, ...]

    @property
    def horizon(self) -> int:
        """Steps ahead, K."""
        return int(self.values.shape[0])

    @property
    def median(self) -> Quantiles:
        """(K,) float32: the column of level 0.5."""
        return self.quantile(0.5)

    def quantile(self, level: float) -> Quantiles:
        """(K,) float32: the column of a level.

        Raises:
            ValueError: the model has no such level.
        """
        for column, known in enumerate(self.quantile_levels):
            if abs(known - level) < 1e-9:
                return self.values[:, column]
        raise ValueError(f"level: expected one of {list(self.quantile_levels)}, found {level}")


@dataclass(frozen=True, eq=False)
class ForecastResult:
    """What some rows of one session did.

    Attributes:
        position: rows the session has consumed now.
        num_skipped: rows of this call that the session had consumed before, skipped.
        num_late: rows at or before the session's last time, skipped but consumed.
        num_missing_steps: steps by which gaps in time advanced the state.
        forecasts: as asked for by `reply`, oldest first.
        model_version: the model version that answered.
    """

    position: int
    num_skipped: int
    num_late: int
    num_missing_steps: int
    forecasts: tuple[Forecast, ...]
    model_version: int

    @property
    def forecast(self) -> Forecast:
        """The last forecast.

        Raises:
            ValueError: none was asked for.
        """
        if not self.forecasts:
            raise ValueError("no forecast came back: reply='none' asks for none")
        return self.forecasts[-1]


def from_response(response: forecast_pb2.ForecastResponse) -> ForecastResult:
    """The result of a unary call."""
    levels = tuple(response.quantile_levels)
    return ForecastResult(
        position=response.position,
        num_skipped=response.num_skipped,
        num_late=response.num_late,
        num_missing_steps=response.num_missing_steps,
        forecasts=tuple(
            Forecast(forecast.position, _quantiles(forecast, len(levels)), levels)
            for forecast in response.forecasts
        ),
        model_version=response.model_version,
    )


def _quantiles(forecast: forecast_pb2.Forecast, num_levels: int) -> Quantiles:
    values = np.array(forecast.values, np.float32).reshape(-1, num_levels)
    values.flags.writeable = False
    return values
