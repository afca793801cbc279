"""The one entry to the engine: rows for many sessions of one model, in columns, and what became of them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from service.engine.arena import Slots
from service.engine.runner import Forecasts, Reply, Rows, Scores
from service.errors import StatecastError

Integers = npt.NDArray[np.int64]

NO_POSITION = -1
# The years 1 to 9999, in microseconds since 1970-01-01 UTC; differences of these fit an int64.
FIRST_TIME_US, LAST_TIME_US = -62_135_596_800_000_000, 253_402_300_799_999_999
# The rows of `FrameResult.counts`, as the messages name them.
COUNTS = ("num_skipped", "num_late", "num_missing_steps")


def _nobody(_frame: "Frame") -> None:
    """Told of nothing."""


@dataclass(eq=False, slots=True)
class Frame:
    """Checked rows for N sessions of one model, R rows in all, W columns as the graph reads them.

    Attributes:
        slots: (N,) each entry's session; one that is named twice takes its entries in order.
        lengths: (N,) rows of each entry, at least 1.
        positions: (N,) rows consumed before each entry's first row, or NO_POSITION.
        times_us: (R,) microseconds since 1970-01-01 UTC, or None.
        values: (R, W) float64, raw units, NaN where missing; entries one after the other.
        reply: which forecasts to return; never one with scores, see `is_scored`.
        done: called once, when every entry is settled.
        deadline_s: on the worker's clock; entries that no batch has taken by then are not applied.
        result: filled while entries settle; whole when `done` is called.
        arrived_s: when it, or the first row that was collected for it, came: on the worker's clock; NaN
            until it is queued.
        trace: the trace that its batches are told to, or None; see `telemetry.tracing`.
        num_open: entries that are not settled.
        dropped: (N,) entries that nobody waits for, or None.
    """

    slots: Slots
    lengths: Integers
    positions: Integers
    times_us: Integers | None
    values: Rows
    reply: Reply
    done: Callable[["Frame"], object]
    deadline_s: float = math.inf
    arrived_s: float = math.nan
    trace: Any = None
    is_scored: bool = False
    result: "FrameResult" = field(init=False)
    num_open: int = field(init=False)
    dropped: npt.NDArray[np.bool_] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.num_open = len(self.slots)
        self.result = FrameResult(self.num_open)

    @property
    def is_single_rows(self) -> bool:
        """Whether every entry is one row."""
        return len(self.values) == len(self.slots)

    def drop(self) -> None:
        """Nobody waits any more: entries whose batch has not begun are not applied."""
        self.dropped = np.ones(len(self.slots), bool)

    def drop_entry(self, entry: int) -> None:
        """Nobody waits for one entry any more."""
        if self.dropped is None:
            self.dropped = np.zeros(len(self.slots), bool)
        self.dropped[entry] = True

    def settle(self, num_entries: int) -> None:
        """So many more entries are settled."""
        self.num_open -= num_entries
        if self.num_open == 0:
            # Whoever is told usually holds this frame: the cycle would keep its arrays until a collection.
            done, self.done = self.done, _nobody
            done(self)


@dataclass(eq=False, slots=True)
class FrameResult:
    """What became of N entries.

    Attributes:
        positions: (N,) rows the session has consumed, -1 where the entry was refused.
        counts: (3, N), by row: rows skipped below the committed position; late rows, at or before the
            session's last time, consumed and not stepped; missing steps that gaps in time inserted.
        forecasts: by entry (M, K, Q) float32: one per applied row;
            where every row was skipped or late, one of the session as it stands. EACH only.
        dense: (N, K, Q) float32, the same for LAST, rows of refused entries undefined; None before any.
        forecast_positions: by entry (M,): rows consumed when each forecast was made.
        scores: by entry (M, 2) float32: those of each applied row, where they were asked for.
        errors: by entry, why it was refused; its session stands as before.
        has_counts: whether any count may be above zero.
    """

    num_entries: int
    positions: Integers = field(init=False)
    counts: Integers = field(init=False)
    dense: Forecasts | None = field(init=False, default=None)
    forecasts: dict[int, list[Forecasts]] = field(init=False, default_factory=dict)
    forecast_positions: dict[int, list[Integers]] = field(init=False, default_factory=dict)
    scores: dict[int, list[Scores]] = field(init=False, default_factory=dict)
    errors: dict[int, StatecastError] = field(init=False, default_factory=dict)
    has_counts: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        n = self.num_entries
        self.positions = np.full(n, -1, np.int64)
        self.counts = np.zeros((3, n), np.int64)

    def add(self, entry: int, forecasts: Forecasts, positions: Integers) -> None:
        """Forecasts of an entry, after those it has."""
        self.forecasts.setdefault(entry, []).append(forecasts)
        self.forecast_positions.setdefault(entry, []).append(positions)
