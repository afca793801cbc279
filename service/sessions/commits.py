"""What becomes of a batch that has run: the store, the table, the answers."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from service.clock import Clock
from service.errors import StoreUnavailable, TokenLost
from service.sessions.batch import Batch, Part
from service.sessions.changes import changes_of
from service.sessions.frame import Integers
from service.sessions.outcome import Outcomes, fill_results
from service.sessions.plan import BatchPlan
from service.sessions.queue import FrameQueue
from service.sessions.residency import Residency
from service.sessions.row_watch import RowWatches
from service.store.contract import Changes
from service.telemetry.tracing import Tracing

# A store that replicas share has cores of its own: while it works, so can the engine. One that is a file
# works on ours, where smaller batches cost more than waiting.
_MAX_SHARED = 3


class Commits:
    """Enters batches in the session table and answers them; with a durable store, once that has them.

    While the store is at work the next batch may run, on other sessions: until their batch is answered its
    sessions are held back in the queue. What is done to sessions beside their rows awaits `drained` first.
    """

    def __init__(
        self,
        residency: Residency,
        queue: FrameQueue,
        clock: Clock,
        ended: Callable[["asyncio.Task[None]"], None],
        tracing: Tracing | None = None,
        watches: RowWatches | None = None,
    ) -> None:
        """`ended` is called with what asked the store to take a batch, when it is done."""
        self._residency, self._queue, self._clock = residency, queue, clock
        self._ended = ended
        self._tracing, self._watches = tracing, watches
        self._max_in_flight = _MAX_SHARED if residency.store.is_shared else 1
        self._in_flight: set[asyncio.Task[None]] = set()

    @property
    def is_full(self) -> bool:
        """Whether no further batch may run yet."""
        return len(self._in_flight) >= self._max_in_flight

    @property
    def overlap(self) -> bool:
        """Whether batches run while the store has others."""
        return self._max_in_flight > 1

    @property
    def is_empty(self) -> bool:
        """Whether every batch is answered."""
        return not self._in_flight

    async def drained(self) -> None:
        """Wait until every batch is answered."""
        while self._in_flight:
            await asyncio.wait(self._in_flight)

    def enter(self, batch: Batch, planned: BatchPlan, outcomes: Outcomes) -> None:
        """Now: what is not refused stands in the table, and every entry is answered."""
        last_times, table = planned.last_times_us, self._residency.table
        if planned.refused:
            committed = np.ones(len(batch), bool)
            committed[list(planned.refused)] = False
            planned.positions[~committed] = -1
            if planned.counts is not None:
                planned.counts[:, ~committed] = 0
            last_times = None if last_times is None else last_times[committed]
            table.commit(batch.slots[committed], planned.positions[committed], last_times)
        else:
            table.commit(batch.slots, planned.positions, last_times)
        self._residency.counts.add_batch(batch, planned)
        self._count_scores(batch, planned, outcomes)
        if self._tracing is not None:
            frames = [part.frame for part in batch.parts]
            self._tracing.batch(self._residency.name, frames, len(batch.values), planned, planned.stored_s)
        fill_results(batch, planned, outcomes)
        self._settle(batch, planned)
        if planned.watched and self._watches is not None:
            self._watches.committed(planned)

    def _count_scores(self, batch: Batch, planned: BatchPlan, outcomes: Outcomes) -> None:
        """Those of entries that stand."""
        residency = self._residency
        for outcome in outcomes.groups:
            scores, entries = outcome.scores, outcome.group.entries
            if scores is None:
                continue
            if planned.refused:
                own = np.arange(len(batch)) if entries is None else entries
                scores = scores[~np.isin(own, list(planned.refused))]
            residency.counts.add_scores(scores, residency.versions.newest.model.manifest.quantile_levels)

    async def begin(self, batch: Batch, planned: BatchPlan, outcomes: Outcomes) -> None:
        """Hand a batch to the store, and `enter` it when that has answered.

        Returns once the states that the store wants are read: another batch may run.
        """
        made = list(changes_of(batch, planned, self._residency, self._clock.wall_s()))
        if not made:
            self.enter(batch, planned, outcomes)
            return
        if len(made) > 1:
            # The store takes one after the other, and would read the later ones' states beside a run.
            made = [(entries, _with_states(changes)) for entries, changes in made]
        self._queue.hold_back(batch.slots)
        task = asyncio.get_running_loop().create_task(self._store(batch, planned, outcomes, made))
        self._in_flight.add(task)
        task.add_done_callback(self._done)
        # The task's turn comes first: up to where it waits for the store.
        await asyncio.sleep(0)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._in_flight.discard(task)
        self._ended(task)

    async def _store(
        self, batch: Batch, planned: BatchPlan, outcomes: Outcomes, made: list[tuple[Integers, Changes]]
    ) -> None:
        for entries, changes in made:
            await self._offer(batch, planned, entries, changes)
        planned.stored_s = self._clock.monotonic_s()
        self._queue.let_go(batch.slots)
        self.enter(batch, planned, outcomes)

    async def _offer(self, batch: Batch, planned: BatchPlan, entries: Integers, changes: Changes) -> None:
        """What the store does not take is refused, and the sessions are loaded anew."""
        residency, slots = self._residency, batch.slots[entries]
        try:
            committed = await residency.store.commit(residency.name, changes)
        except StoreUnavailable as error:
            residency.counts.store_failures += 1
            planned.refused.update(dict.fromkeys(entries.tolist(), error))
            residency.table.unload(slots)
            return
        residency.table.tokens[slots] = committed.tokens
        refused = list(committed.refused)
        for index in refused:
            planned.refused[int(entries[index])] = TokenLost([changes.session_ids[index]])
        if refused:
            residency.lose(slots[refused])

    def _settle(self, batch: Batch, planned: BatchPlan) -> None:
        table = self._residency.table
        over: list[Part] = []
        for part, span in batch.spans():
            num_rows = int(batch.lengths[span].sum())
            is_over = part.is_last or span.start in planned.refused
            if is_over and not part.is_last:
                assert part.entries is not None
                num_rows = int(part.frame.lengths[part.entries[0]]) - part.offset
            self._queue.finish(part, num_rows, is_over)
            if is_over:
                over.append(part)
        if not planned.refused and len(over) == len(batch.parts):
            table.settle_committed(batch.slots)
        elif over:
            table.settle(np.concatenate([part.slots for part in over]))
        for part in over:
            part.frame.settle(len(part))


def _with_states(changes: Changes) -> Changes:
    """With the states read now."""
    states = changes.states()
    return replace(changes, states=lambda: states)
