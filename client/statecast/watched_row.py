"""Rows of one session, as a watch tells them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from statecast.forecast import Forecast
from statecast.session_info import EventName, event_name
from statecast.v1 import session_pb2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class WatchedRow:
    """A row that a session took, by whatever call.

    Attributes:
        position: rows consumed, this one counted in.
        time: of the row, UTC; None where rows carry no times.
        values: (F,) float64, the features in the model's order; NaN where missing.
        forecast: after this row, at the model's horizon.
        anomaly: (2,) float32, as in `ForecastResult.anomalies`; None where the model scores no rows, or this
            one was not scored.
        num_skipped: rows taken between the one told before and this one that are not told.
        num_missing_steps: by which gaps in time advanced the state, since the row told before.
        model_version: that the session was on.
    """

    position: int
    time: datetime | None
    values: npt.NDArray[np.float64]
    forecast: Forecast
    anomaly: npt.NDArray[np.float32] | None
    num_skipped: int
    num_missing_steps: int
    model_version: int


@dataclass(frozen=True)
class WatchedEvent:
    """Something that happened to a watched session beside its rows.

    Attributes:
        kind: as `SessionEvent.kind`. After `reset`, `deleted` and `expired` the next row is the first.
        model_version: that the session was on.
    """

    kind: EventName
    model_version: int


class RowReader:
    """Reads what one watch tells: what holds for many rows is told with the first of them."""

    def __init__(self) -> None:
        self._levels: tuple[float, ...] = ()
        self._labels: tuple[str, ...] = ()

    def __call__(self, response: session_pb2.WatchRowsResponse) -> list[WatchedRow | WatchedEvent]:
        """The rows, or the event."""
        if not response.rows:
            return [WatchedEvent(event_name(response.event), response.model_version)]
        if response.quantile_levels or response.labels:
            self._levels, self._labels = tuple(response.quantile_levels), tuple(response.labels)
        return [self._row(row, response.model_version) for row in response.rows]

    def _row(self, row: session_pb2.WatchedRow, model_version: int) -> WatchedRow:
        values = np.array(row.forecast.values, np.float32)
        values = values.reshape(-1, len(self._levels) or len(self._labels))
        values.flags.writeable = False
        anomaly = None
        if row.HasField("anomaly_score"):
            score = row.anomaly_score
            anomaly = np.array([score.quantile_position, score.tail_probability], np.float32)
        return WatchedRow(
            position=row.position,
            time=_EPOCH + timedelta(microseconds=row.time_us) if row.HasField("time_us") else None,
            values=np.array(row.values, np.float64),
            forecast=Forecast(row.position, values, self._levels, self._labels),
            anomaly=anomaly,
            num_skipped=row.num_skipped,
            num_missing_steps=row.num_missing_steps,
            model_version=model_version,
        )
