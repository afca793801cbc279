"""One model's sessions: a queue, batches of whatever is ready, and commits."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import structlog

from service.clock import Clock
from service.engine.model import ServedModel
from service.engine.runner import Forecasts, Reply
from service.errors import EngineFailure, QueueFull, UnknownSession
from service.sessions.batch import Batch, Part, join
from service.sessions.frame import Frame
from service.sessions.outcome import Outcome, fill_results
from service.sessions.plan import BatchPlan, Group, StepLimits, plan_batch
from service.sessions.queue import FrameQueue
from service.store.table import SessionTable
from service.telemetry.correlation import new_correlation_id

_log = structlog.get_logger()

# Longer than any batch takes, short enough that a client tries again while it still matters.
_RETRY_AFTER_S = 0.1
# Rows of an entry that still go whole beside single steps, and rows of histories in one batch: while
# steps come, so few that a step waits about a millisecond; else as many as run at full speed.
_MAX_STEP_ROWS = 16
_HISTORY_ROWS_BESIDE_STEPS = 256
_HISTORY_ROWS = 8192
_STEPS_ARE_RECENT_S = 0.05
_TURNS_BESIDE_HISTORIES = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one model's sessions; see the settings of the same names.

    Attributes:
        max_inline_rows: rows that a batch may hold and still run on the event loop's own thread.
    """

    session_ttl_s: float
    max_batch_size: int
    max_queued_rows: int
    max_inline_rows: int
    steps: StepLimits


@dataclass(frozen=True, slots=True)
class Ended:
    """A session as it stood when it was read or deleted."""

    position: int
    last_time_us: int | None


class SessionWorker:
    """Applies frames to the sessions of one model, each row exactly once and in order of arrival.

    A batch is whatever waits when the previous one ends, at most one entry a session; there is no
    timer. A small batch runs on the event loop's thread, a large one in `executor`; everything else
    happens on the event loop. Tables and states change only between runs.
    """

    def __init__(self, model: ServedModel, limits: Limits, clock: Clock, executor: Executor) -> None:
        self.model = model
        self.table = SessionTable(model.name, model.capacity, limits.session_ttl_s, clock)
        self._limits = limits
        self._clock = clock
        self._executor = executor
        self._queue = FrameQueue(model.capacity, _MAX_STEP_ROWS)
        self._deletions: list[tuple[str, asyncio.Future[Ended]]] = []
        self._wake = asyncio.Event()
        self._collectors: list[Callable[[], None]] = []
        self._stepped_at_s = float("-inf")

    def check_room(self, num_rows: int) -> None:
        """Admission, before anything of a request is queued.

        Raises:
            QueueFull: the rows that wait already leave no room.
        """
        waiting, limit = self._queue.num_rows, self._limits.max_queued_rows
        # A request larger than the whole queue passes when nothing else waits, or it never would.
        if waiting and waiting + num_rows > limit:
            raise QueueFull(limit, _RETRY_AFTER_S)

    def submit(self, frame: Frame) -> None:
        """Queue a frame; its `done` is called when every entry is settled.

        Its slots come from `table.resolve`, with nothing awaited in between.
        """
        self.table.hold_all(frame.slots)
        self.enqueue(frame)

    def enqueue(self, frame: Frame) -> None:
        """`submit` for a frame whose slots are held already, once for each entry."""
        self._queue.put(frame)
        self._wake.set()

    def collect_from(self, flush: Callable[[], None]) -> None:
        """Call `flush` before each batch is taken: whoever collects rows enqueues them there."""
        self._collectors.append(flush)

    def wake(self) -> None:
        """Something waits: take a batch once every task that is ready now has run."""
        self._wake.set()

    def describe(self, session_id: str) -> Ended:
        """A session as it stands; rows that still wait are not in it.

        Raises:
            UnknownSession: there is none.
        """
        slot = self.table.find(session_id)
        return Ended(int(self.table.positions[slot]), self.table.last_time_us(slot))

    async def delete(self, session_id: str) -> Ended:
        """End a session between two batches; rows that wait for it begin a new one.

        Raises:
            UnknownSession: there is none.
        """
        done: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        self._deletions.append((session_id, done))
        self._wake.set()
        return await done

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._collect()
            while self._queue or self._deletions:
                self._delete_waiting()
                self._reset_dirty()
                parts = self._take()
                if parts:
                    await self._apply(join(parts))
                if self._queue:
                    # Let answers be written and further messages be read before the next batch is taken.
                    # A message takes several turns of the loop to come in: beside histories it gets them.
                    beside_histories = self._steps_are_recent() and not self._queue.has_steps
                    for _ in range(_TURNS_BESIDE_HISTORIES if beside_histories else 1):
                        await asyncio.sleep(0)
                    self._collect()

    def _collect(self) -> None:
        for flush in self._collectors:
            flush()

    def _take(self) -> list[Part]:
        if self._queue.has_steps:
            self._stepped_at_s = self._clock.monotonic_s()
        history_rows = _HISTORY_ROWS_BESIDE_STEPS if self._steps_are_recent() else _HISTORY_ROWS
        taken = self._queue.take(self._limits.max_batch_size, history_rows)
        kept = []
        for part in taken:
            dropped = part.frame.dropped
            if dropped is None:
                kept.append(part)
                continue
            mine = dropped if part.entries is None else dropped[part.entries]
            if mine.all():
                self._leave(part)
            elif mine.any():
                self._leave(part.only(mine))
                kept.append(part.only(~mine))
            else:
                kept.append(part)
        return kept

    def _steps_are_recent(self) -> bool:
        return self._clock.monotonic_s() - self._stepped_at_s < _STEPS_ARE_RECENT_S

    def _leave(self, part: Part) -> None:
        """Dropped entries go without being applied."""
        entries = slice(None) if part.entries is None else part.entries
        num_rows = int(part.frame.lengths[entries].sum()) - part.offset
        self._queue.finish(part, num_rows, is_over=True)
        self.table.settle(part.slots)
        part.frame.settle(len(part))

    async def _apply(self, batch: Batch) -> None:
        table = self.table
        planned = plan_batch(
            batch,
            table.positions[batch.slots],
            table.last_times_us[batch.slots],
            self.model.frequency,
            self._limits.steps,
        )
        if len(batch.values) <= self._limits.max_inline_rows:
            outcomes, standing = self._run(batch, planned)
        else:
            running = asyncio.get_running_loop().run_in_executor(self._executor, self._run, batch, planned)
            try:
                # Shielded: a shutdown waits for a run that has begun, which commits or fails as a whole.
                outcomes, standing = await asyncio.shield(running)
            except asyncio.CancelledError:
                await asyncio.wait([running])
                raise
        self._commit(batch, planned, outcomes, standing)

    def _run(self, batch: Batch, planned: BatchPlan) -> tuple[list[Outcome], Forecasts | None]:
        """Every group, then the forecasts (M, K, Q) of the standing entries; on any thread."""
        runner, outcomes = self.model.runner, []
        for group in planned.groups:
            try:
                slots = batch.slots if group.entries is None else batch.slots[group.entries]
                forecasts = runner.step(slots, group.rows, group.reply)
                outcomes.append(Outcome(group, forecasts))
            except Exception as error:
                outcomes.append(Outcome(group, None, error))
        standing = None
        if len(planned.standing) and (batch.replies[planned.standing] != Reply.NONE).any():
            try:
                standing = runner.read_out(batch.slots[planned.standing])
            except Exception as error:
                # Their rows were consumed before; only the answer is lost, and asking again is safe.
                group = Group(planned.standing, np.empty((0, 0, 0)), Reply.LAST)
                outcomes.append(Outcome(group, None, error))
        return outcomes, standing

    def _commit(
        self, batch: Batch, planned: BatchPlan, outcomes: list[Outcome], standing: Forecasts | None
    ) -> None:
        for outcome in outcomes:
            if outcome.failure is not None:
                entries = outcome.group.entries
                failed = range(len(batch)) if entries is None else entries.tolist()
                planned.refused.update(dict.fromkeys(failed, self._failure(outcome)))
        last_times = planned.last_times_us
        if planned.refused:
            committed = np.ones(len(batch), bool)
            committed[list(planned.refused)] = False
            planned.positions[~committed] = -1
            last_times = None if last_times is None else last_times[committed]
            self.table.commit(batch.slots[committed], planned.positions[committed], last_times)
        else:
            self.table.commit(batch.slots, planned.positions, last_times)
        fill_results(batch, planned, outcomes, standing)
        self._settle(batch, planned)

    def _settle(self, batch: Batch, planned: BatchPlan) -> None:
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
            self.table.settle_committed(batch.slots)
        elif over:
            self.table.settle(np.concatenate([part.slots for part in over]))
        for part in over:
            part.frame.settle(len(part))

    def _failure(self, outcome: Outcome) -> EngineFailure:
        failure = EngineFailure(new_correlation_id())
        _log.error(
            "engine failure",
            model=self.model.name,
            num_sessions=len(outcome.group.rows),
            correlation_id=failure.correlation_id,
            exc_info=outcome.failure,
        )
        return failure

    def _delete_waiting(self) -> None:
        deletions, self._deletions = self._deletions, []
        for session_id, done in deletions:
            if done.done():
                continue
            try:
                ended = self.describe(session_id)
            except UnknownSession as error:
                done.set_exception(error)
                continue
            slot = self.table.find(session_id)
            self.model.runner.reset(np.array([slot]))
            self.table.end(slot)
            done.set_result(ended)

    def _reset_dirty(self) -> None:
        """States of slots given back since the last batch; nobody steps them before."""
        if self.table.dirty:
            self.model.runner.reset(np.array(self.table.dirty, np.int64))
            self.table.dirty.clear()
