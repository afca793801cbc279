"""What a model's worker has done since it began, in plain integers: whoever reads them pays, not the rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from service.engine.runner import Scores
from service.sessions.batch import Batch
from service.sessions.plan import BatchPlan
from service.telemetry.histogram import ROWS, SECONDS, Histogram

# A value that is a quantile itself, as those of counted things often are.
_TIE = 1e-5


@dataclass(slots=True)
class Counts:
    """Changed on the event loop; each may be read on any thread, and none ever falls.

    Attributes:
        rows_applied: rows that advanced a model.
        rows_skipped: rows that had been consumed before.
        rows_late: rows not after the latest one of their session: consumed without advancing it.
        rows_refused: rows that found the queue full, or that were in it and were not applied although
            somebody waited for them.
        rows_scored: rows that were held against the forecast made before them, because scores were asked for.
        rows_covered: of those, how many lay within the outermost quantile levels.
        missing_steps: steps that gaps in time inserted.
        rows_recovered: rows that were stepped again at the start.
        batches: runs of batches, those of a single row counted in.
        sessions_spilled: sessions that left memory to make room.
        sessions_loaded: sessions that came into memory with a row or a request.
        sessions_taken_over: sessions of memory that another replica has gone on with.
        store_failures: batches that the store did not take.
        batch_rows: rows of each batch.
        queue_s: how long the first entry of each batch waited until it was taken; of a history its first
            slice alone.
        step_s: how long each batch ran.
        store_s: how long the store took over each batch; none where it is not durable.
    """

    rows_applied: int = 0
    rows_skipped: int = 0
    rows_late: int = 0
    rows_refused: int = 0
    rows_scored: int = 0
    rows_covered: int = 0
    missing_steps: int = 0
    rows_recovered: int = 0
    batches: int = 0
    sessions_spilled: int = 0
    sessions_loaded: int = 0
    sessions_taken_over: int = 0
    store_failures: int = 0
    batch_rows: Histogram = field(default_factory=lambda: Histogram(ROWS))
    queue_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    step_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    store_s: Histogram = field(default_factory=lambda: Histogram(SECONDS))

    def add_row(self, arrived_s: float, began_s: float, ended_s: float) -> None:
        """A plain row was applied by itself; times are on the worker's clock, NaN where not known."""
        self.batches += 1
        self.rows_applied += 1
        self.batch_rows.add(1)
        self.step_s.add(ended_s - began_s)
        if not math.isnan(arrived_s):
            self.queue_s.add(began_s - arrived_s)

    def add_batch(self, batch: Batch, planned: BatchPlan) -> None:
        """A batch is over; `planned.counts` of entries that were refused are zero."""
        self.batches += 1
        num_applied = len(batch.values)
        self.batch_rows.add(num_applied)
        self.step_s.add(planned.ended_s - planned.began_s)
        first = batch.parts[0]
        if not first.offset and not math.isnan(first.frame.arrived_s):
            self.queue_s.add(planned.began_s - first.frame.arrived_s)
        if planned.stored_s:
            self.store_s.add(planned.stored_s - planned.ended_s)
        if planned.refused:
            num_refused = int(batch.lengths[list(planned.refused)].sum())
            num_applied -= num_refused
            self.rows_refused += num_refused + _num_never_taken(batch, planned)
        if planned.counts is not None:
            num_skipped, num_late, num_missing = planned.counts.sum(axis=1).tolist()
            num_applied -= num_skipped + num_late
            self.rows_skipped += num_skipped
            self.rows_late += num_late
            self.missing_steps += num_missing
        self.rows_applied += num_applied

    def add_scores(self, scores: Scores, levels: Sequence[float]) -> None:
        """Scores (..., 2) of applied rows, NaN where there was no forecast or no value."""
        positions = scores[..., 0]
        within = (positions >= levels[0] - _TIE) & (positions <= levels[-1] + _TIE)
        self.rows_scored += int(np.count_nonzero(positions == positions))
        self.rows_covered += int(np.count_nonzero(within))


def _num_never_taken(batch: Batch, planned: BatchPlan) -> int:
    """Rows of refused histories that come after the slice that was refused."""
    num_rows = 0
    for part, span in batch.spans():
        if part.num_rows is not None and span.start in planned.refused:
            num_rows += part.num_left - part.num_rows
    return num_rows
