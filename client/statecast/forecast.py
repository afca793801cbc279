"""Results: what came back for some rows."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from statecast.v1 import forecast_pb2

Quantiles = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Forecast:
    """The next steps of a series: quantiles in the unit of the target, or probabilities of labels.

    Attributes:
        position: rows the session had consumed when the forecast was made.
        values: (K, Q) float32, K steps by Q quantile levels or labels; read-only.
        quantile_levels: Q levels, ascending: the columns of `values`. Empty where there are labels.
        labels: Q labels: the columns of `values` where they are probabilities.
    """

    position: int
    values: Quantiles
    quantile_levels: tuple[float, ...]
    labels: tuple[str, ...] = ()

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
        if self.labels:
            raise ValueError(f"level: the model has labels and no levels, found {level}; use probability()")
        for column, known in enumerate(self.quantile_levels):
            if abs(known - level) < 1e-9:
                return self.values[:, column]
        raise ValueError(f"level: expected one of {list(self.quantile_levels)}, found {level}")

    @property
    def probabilities(self) -> Quantiles:
        """(K, Q) float32: of each step, the probability of each of `labels`; a row sums to 1.

        Raises:
            ValueError: the model forecasts quantiles.
        """
        if not self.labels:
            raise ValueError("the model has quantile levels and no labels; use quantile()")
        return self.values

    def probability(self, label: str) -> Quantiles:
        """(K,) float32: of each step, the probability of a label.

        Raises:
            ValueError: the model has no such label.
        """
        probabilities = self.probabilities
        if label not in self.labels:
            raise ValueError(f"label: expected one of {list(self.labels)}, found {label!r}")
        return probabilities[:, self.labels.index(label)]

    @property
    def likeliest(self) -> tuple[str, ...]:
        """Of each step, the label with the highest probability.

        Raises:
            ValueError: the model forecasts quantiles.
        """
        return tuple(self.labels[column] for column in self.probabilities.argmax(axis=1).tolist())

    @property
    def label(self) -> str:
        """The likeliest label of the first step.

        Raises:
            ValueError: the model forecasts quantiles.
        """
        return self.likeliest[0]


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
        anomalies: (R, 2) float32, for each applied row its quantile position in the forecast before it, and
            the tail probability, the lower the more anomalous; NaN where there was none. Empty where none
            were asked for; rows that were skipped have none.
    """

    position: int
    num_skipped: int
    num_late: int
    num_missing_steps: int
    forecasts: tuple[Forecast, ...]
    model_version: int
    anomalies: Quantiles = field(default_factory=lambda: np.zeros((0, 2), np.float32))

    @property
    def forecast(self) -> Forecast:
        """The last forecast.

        Raises:
            ValueError: none was asked for.
        """
        if not self.forecasts:
            raise ValueError("no forecast came back: reply='none' asks for none")
        return self.forecasts[-1]


def from_response(response: forecast_pb2.ForecastResponse, labels: tuple[str, ...] = ()) -> ForecastResult:
    """The result of a unary call to a model that has these labels."""
    levels = tuple(response.quantile_levels)
    num_columns = len(levels) or len(labels)
    return ForecastResult(
        position=response.position,
        num_skipped=response.num_skipped,
        num_late=response.num_late,
        num_missing_steps=response.num_missing_steps,
        forecasts=tuple(
            Forecast(forecast.position, _values(forecast, num_columns), levels, labels)
            for forecast in response.forecasts
        ),
        model_version=response.model_version,
        anomalies=np.array(
            [(score.quantile_position, score.tail_probability) for score in response.anomaly_scores],
            np.float32,
        ).reshape(-1, 2),
    )


def _values(forecast: forecast_pb2.Forecast, num_columns: int) -> Quantiles:
    values = np.array(forecast.values, np.float32).reshape(-1, num_columns)
    values.flags.writeable = False
    return values
