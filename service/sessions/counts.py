"""What a model's worker has done since it began, in plain integers: whoever reads them pays, not the rows."""

from dataclasses import dataclass

from service.sessions.batch import Batch
from service.sessions.plan import BatchPlan


@dataclass(slots=True)
class Counts:
    """Changed on the event loop; each may be read on any thread, and none ever falls.

    Attributes:
        rows_applied: rows that advanced a model.
        rows_skipped: rows that had been consumed before.
        rows_late: rows not after the latest one of their session: consumed without advancing it.
        rows_refused: rows that found the queue full, or that were in it and were not applied although
            somebody waited for them.
        missing_steps: steps that gaps in time inserted.
        rows_recovered: rows that were stepped again at the start.
        batches: runs of batches, those of a single row counted in.
        sessions_spilled: sessions that left memory to make room.
        sessions_loaded: sessions that came into memory with a row or a request.
        sessions_taken_over: sessions of memory that another replica has gone on with.
    """

    rows_applied: int = 0
    rows_skipped: int = 0
    rows_late: int = 0
    rows_refused: int = 0
    missing_steps: int = 0
    rows_recovered: int = 0
    batches: int = 0
    sessions_spilled: int = 0
    sessions_loaded: int = 0
    sessions_taken_over: int = 0

    def add_row(self) -> None:
        """A plain row was applied by itself."""
        self.batches += 1
        self.rows_applied += 1

    def add_batch(self, batch: Batch, planned: BatchPlan) -> None:
        """A batch is over; `planned.counts` of entries that were refused are zero."""
        self.batches += 1
        num_applied = len(batch.values)
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


def _num_never_taken(batch: Batch, planned: BatchPlan) -> int:
    """Rows of refused histories that come after the slice that was refused."""
    num_rows = 0
    for part, span in batch.spans():
        if part.num_rows is not None and span.start in planned.refused:
            num_rows += part.num_left - part.num_rows
    return num_rows
