"""Frames: rows of many sessions in columns, and what came back for them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from statecast.columns import (
    COUNT,
    FORECAST,
    HANDLE,
    LENGTH,
    POSITION,
    TIME_US,
    VALUE,
    ColumnError,
    pack,
    unpack,
)
from statecast.errors import InternalError, StatecastError
from statecast.forecast import Forecast, ForecastResult, Quantiles
from statecast.status import from_entry_error
from statecast.v1 import forecast_pb2

Handles = npt.NDArray[np.uint32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Columns:
    """The rows of a frame, as they are sent: N entries, R rows.

    Attributes:
        handles: (N,) uint32.
        lengths: (N,) int64, rows of each entry, R in all.
        times_us: R int64 as bytes, empty for none.
        values: R by F float64 as bytes.
    """

    handles: Handles
    lengths: Integers
    times_us: bytes
    values: bytes
    reply: forecast_pb2.Reply
    horizon: int
    score_anomalies: bool = False

    @classmethod
    def of(
        cls,
        handles: npt.ArrayLike,
        lengths: Integers | None,
        values: npt.NDArray[np.float64],
        times_us: Integers | None,
        reply: forecast_pb2.Reply,
        horizon: int,
        score_anomalies: bool = False,
    ) -> "Columns":
        """From arrays; `values` is (R, F), no `lengths` means a row each.

        Raises:
            ValueError: the columns disagree.
        """
        numbers = np.asarray(handles, HANDLE)
        num_rows = np.ones(len(numbers), np.int64) if lengths is None else np.asarray(lengths, np.int64)
        if not len(numbers):
            raise ValueError("entries: expected at least one, found none")
        if num_rows.shape != numbers.shape:
            raise ValueError(f"lengths: expected {len(numbers)}, one an entry, found shape {num_rows.shape}")
        if num_rows.min() < 1:
            raise ValueError(f"lengths: expected at least 1, found {num_rows.min()} at {num_rows.argmin()}")
        if num_rows.sum() != len(values):
            raise ValueError(f"values: expected {num_rows.sum()} rows, found {len(values)}")
        times = b"" if times_us is None else pack(times_us, TIME_US)
        return cls(numbers, num_rows, times, pack(values, VALUE), reply, horizon, score_anomalies)

    @property
    def num_bytes(self) -> int:
        """At most so many bytes on the wire."""
        return len(self.values) + len(self.times_us) + 16 * len(self.handles) + 64

    def only(self, keep: npt.NDArray[np.bool_]) -> "Columns":
        """The entries that `keep` (N,) marks."""
        rows = np.repeat(keep, self.lengths)
        return replace(
            self,
            handles=self.handles[keep],
            lengths=self.lengths[keep],
            times_us=_rows_of(self.times_us, rows),
            values=_rows_of(self.values, rows),
        )

    def message(self, frame_id: int, positions: Integers) -> forecast_pb2.Frame:
        """The frame, its entries' first rows at `positions` (N,)."""
        one_each = bool((self.lengths == 1).all())
        return forecast_pb2.Frame(
            id=frame_id,
            handles=pack(self.handles, HANDLE),
            lengths=b"" if one_each else pack(self.lengths, LENGTH),
            positions=pack(positions, POSITION),
            times_us=self.times_us,
            values=self.values,
            reply=self.reply,
            horizon=self.horizon,
            score_anomalies=self.score_anomalies,
        )


def first_positions(handles: Handles, lengths: Integers, next_positions: Integers) -> Integers:
    """(N,) the position of each entry's first row.

    Args:
        next_positions: by handle, the position of the session's next row; not changed.
    """
    positions: Integers = next_positions[handles] + rows_before(handles, lengths)
    return positions


def rows_before(handles: Handles, num_rows: Integers) -> Integers:
    """(N,) rows of the same session's earlier entries, where entries have `num_rows` (N,)."""
    order = np.argsort(handles, kind="stable")
    grouped, rows = handles[order], num_rows[order]
    before = np.cumsum(rows) - rows
    # Rows of all entries before, less those before the session's first entry.
    starts = np.concatenate([[True], grouped[1:] != grouped[:-1]])
    first = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    counts = np.empty(len(order), np.int64)
    counts[order] = before - before[first]
    return counts


def _rows_of(column: bytes, rows: npt.NDArray[np.bool_]) -> bytes:
    """The items of those rows (R,), from a column that has as many for each, or none."""
    items = np.frombuffer(column, np.uint8).reshape(len(rows), -1)
    return items[rows].tobytes()


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What a frame did, N entries in its order.

    Attributes:
        positions: (N,) int64, rows each session has consumed now; -1 where not known.
        num_skipped, num_late, num_missing_steps: (N,) int64, as in ForecastResult.
        num_forecasts: (N,) int64, forecasts of each entry.
        offsets: (N,) int64, where each entry's forecasts begin in `forecasts`.
        forecasts: (M, K, Q) float32, read-only.
        forecast_positions: (M,) int64, rows the session had consumed when each was made.
        quantile_levels: Q levels, ascending; empty where there are labels.
        errors: by entry, why it was refused; the others were applied.
        labels: Q labels, where the forecasts are their probabilities.
        num_scores: (N,) int64, applied rows of each entry that were scored; all zero where none were to be.
        score_offsets: (N,) int64, where each entry's scores begin in `anomalies`.
        anomalies: (S, 2) float32, as in ForecastResult.
    """

    positions: Integers
    num_skipped: Integers
    num_late: Integers
    num_missing_steps: Integers
    num_forecasts: Integers
    offsets: Integers
    forecasts: Quantiles
    forecast_positions: Integers
    quantile_levels: tuple[float, ...]
    errors: Mapping[int, StatecastError]
    model_version: int
    labels: tuple[str, ...] = ()
    num_scores: Integers | None = None
    score_offsets: Integers | None = None
    anomalies: Quantiles = field(default_factory=lambda: np.zeros((0, 2), np.float32))

    def __len__(self) -> int:
        return len(self.positions)

    def __iter__(self) -> Iterator[ForecastResult | StatecastError]:
        # A column at a time: taken out of arrays one by one, numbers cost more than all the rest.
        rows = zip(*(column.tolist() for column in self._columns()), strict=True)
        return (self._entry(index, *numbers) for index, numbers in enumerate(rows))

    def entry(self, index: int) -> ForecastResult | StatecastError:
        """One entry's result, or why it was refused."""
        index = range(len(self))[index]
        return self._entry(index, *(int(column[index]) for column in self._columns()))

    def _columns(self) -> tuple[Integers, ...]:
        counts = (self.positions, self.num_skipped, self.num_late, self.num_missing_steps)
        return *counts, self.offsets, self.num_forecasts

    def _entry(
        self, index: int, position: int, skipped: int, late: int, missing: int, start: int, count: int
    ) -> ForecastResult | StatecastError:
        if index in self.errors:
            return self.errors[index]
        forecasts = tuple(
            Forecast(
                int(self.forecast_positions[made]), self.forecasts[made], self.quantile_levels, self.labels
            )
            for made in range(start, start + count)
        )
        anomalies = self.anomalies
        if self.num_scores is not None and self.score_offsets is not None:
            first = int(self.score_offsets[index])
            anomalies = anomalies[first : first + int(self.num_scores[index])]
        return ForecastResult(position, skipped, late, missing, forecasts, self.model_version, anomalies)

    @property
    def refused(self) -> npt.NDArray[np.bool_]:
        """(N,) whether each entry was refused."""
        refused = np.zeros(len(self), bool)
        refused[list(self.errors)] = True
        return refused

    def amended(self, entries: Integers, later: "FrameResult") -> "FrameResult":
        """This result, but of `entries` (n,), which were sent again, what `later` says of its n."""

        def joined(name: str, theirs: Integers) -> Integers:
            column: Integers = getattr(self, name).copy()
            column[entries] = theirs
            return column

        columns = ("positions", "num_skipped", "num_late", "num_missing_steps", "num_forecasts")
        scores: dict[str, Integers] = {}
        if later.num_scores is not None and later.score_offsets is not None and self.num_scores is not None:
            scores["num_scores"] = joined("num_scores", later.num_scores)
            scores["score_offsets"] = joined("score_offsets", later.score_offsets + len(self.anomalies))
        sent_again = set(entries.tolist())
        errors = {entry: error for entry, error in self.errors.items() if entry not in sent_again}
        errors |= {int(entries[index]): error for index, error in later.errors.items()}
        return replace(
            self,
            **{name: joined(name, getattr(later, name)) for name in columns},
            **scores,
            anomalies=np.concatenate([self.anomalies, later.anomalies]),
            offsets=joined("offsets", later.offsets + len(self.forecasts)),
            forecasts=_joined(self.forecasts, later.forecasts),
            forecast_positions=np.concatenate([self.forecast_positions, later.forecast_positions]),
            quantile_levels=later.quantile_levels,
            labels=later.labels,
            errors=errors,
            model_version=later.model_version,
        )

    def refusing(self, entries: Integers, error: StatecastError) -> "FrameResult":
        """This result, but `entries`, which were refused, for this reason."""
        return replace(self, errors={**self.errors, **dict.fromkeys(entries.tolist(), error)})


def _joined(first: Quantiles, second: Quantiles) -> Quantiles:
    # A reply without forecasts need not say what shape they would have had.
    if not len(first) or not len(second):
        return second if len(second) else first
    return np.concatenate([first, second])


def decode(
    response: forecast_pb2.StreamForecastsResponse,
    num_entries: int,
    quantile_levels: tuple[float, ...],
    labels: tuple[str, ...] = (),
) -> FrameResult:
    """The result of a frame of `num_entries` that was not refused as a whole.

    Raises:
        InternalError: the columns disagree with each other or with the frame.
    """
    try:
        return _decode(response, num_entries, quantile_levels, labels)
    except (ColumnError, ValueError) as error:
        raise InternalError(
            f"the server's reply to frame {response.frame_id} makes no sense: {error}"
        ) from None


def _decode(
    response: forecast_pb2.StreamForecastsResponse,
    num_entries: int,
    quantile_levels: tuple[float, ...],
    labels: tuple[str, ...],
) -> FrameResult:
    num_columns = len(quantile_levels) or len(labels)
    errors = {error.entry: from_entry_error(error) for error in response.entry_errors}
    if errors and max(errors) >= num_entries:
        raise ValueError(f"entry_errors: expected entries below {num_entries}, found {max(errors)}")
    one_each = np.ones(num_entries, np.int64)
    one_each[list(errors)] = 0
    counts = _column(response.num_forecasts, COUNT, "num_forecasts", one_each)
    values = unpack(response.forecasts, FORECAST, "forecasts")
    shape = (int(counts.sum()), response.horizon, response.num_quantile_levels)
    if shape[0] and shape[2] != num_columns:
        raise ValueError(f"num_quantile_levels: expected {num_columns}, found {shape[2]}")
    zeros = np.zeros(num_entries, np.int64)
    positions = _column(response.positions, POSITION, "positions", None, num_entries)
    made_at = np.repeat(positions, counts)
    num_scores = None
    if response.num_scores:
        num_scores = _column(response.num_scores, COUNT, "num_scores", zeros)
    anomalies = unpack(response.anomaly_scores, FORECAST, "anomaly_scores").reshape(-1, 2)
    if len(anomalies) != (0 if num_scores is None else num_scores.sum()):
        raise ValueError(f"anomaly_scores: expected those of num_scores, found {len(anomalies)}")
    return FrameResult(
        positions=positions,
        num_skipped=_column(response.num_skipped, COUNT, "num_skipped", zeros),
        num_late=_column(response.num_late, COUNT, "num_late", zeros),
        num_missing_steps=_column(response.num_missing_steps, COUNT, "num_missing_steps", zeros),
        num_forecasts=counts,
        offsets=np.cumsum(counts) - counts,
        forecasts=values.reshape(shape) if shape[0] else np.zeros((0, *shape[1:]), np.float32),
        forecast_positions=_column(response.forecast_positions, POSITION, "forecast_positions", made_at),
        quantile_levels=quantile_levels,
        errors=errors,
        model_version=response.model_version,
        labels=labels,
        num_scores=num_scores,
        score_offsets=None if num_scores is None else np.cumsum(num_scores) - num_scores,
        anomalies=anomalies,
    )


def _column(
    content: bytes, dtype: np.dtype, field: str, default: Integers | None, num_entries: int | None = None
) -> Integers:
    if default is not None and not content:
        return default
    found = unpack(content, dtype, field).astype(np.int64)
    expected = len(default) if default is not None else num_entries
    if len(found) != expected:
        raise ValueError(f"{field}: expected {expected}, found {len(found)}")
    return found
