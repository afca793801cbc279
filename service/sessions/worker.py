"""One model's sessions: a queue, batches of whatever is ready, and commits."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import structlog

from service.clock import Clock
from service.engine.model import ServedModel
from service.engine.runner import Forecasts, Reply
from service.errors import DeadlinePassed, EngineFailure, QueueFull, StatecastError, UnknownSession
from service.sessions.batch import Batch, Part, join
from service.sessions.frame import NO_POSITION, Frame
from service.sessions.outcome import Outcome, fill_results
from service.sessions.plan import BatchPlan, Group, StepLimits, plan_batch
from service.sessions.queue import FrameQueue
from service.sessions.turns import Turns
from service.store.contract import NO_TIME
from service.store.table import SessionTable
from service.telemetry.correlation import new_correlation_id

_log = structlog.get_logger()

# Longer than any batch takes, short enough that a client tries again while it still matters.
_RETRY_AFTER_S = 0.1
# Rows of an entry that still go whole beside single steps.
_MAX_STEP_ROWS = 16
# Rows of histories in one batch: as many as run at full speed or, while steps come, as many as a step
# may well wait for.
_HISTORY_ROWS = 8192
_LEAST_HISTORY_ROWS = 16
_HISTORY_BESIDE_STEPS_S = 0.0005
_STEPS_ARE_RECENT_S = 0.05


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


@dataclass(frozen=True, slots=True)
class Advanced:
    """What one row did: rows consumed now, and the forecast (1, K, Q), None for Reply.NONE."""

    position: int
    forecasts: Forecasts | None


_Runs = tuple[list[Outcome], Forecasts | None]


@dataclass(frozen=True, eq=False, slots=True)
class _Running:
    """A batch in the executor."""

    batch: Batch
    planned: BatchPlan
    runs: "asyncio.Future[_Runs]"
    began_s: float


class SessionWorker:
    """Applies frames to the sessions of one model, each row exactly once and in order of arrival.

    A batch is whatever waits when the previous one ends, at most one entry a session; there is no
    timer. A small batch runs on the event loop's thread, a large one and slices of histories in
    `executor`; everything else happens on the event loop. Tables and states change only between runs.
    """

    def __init__(self, model: ServedModel, limits: Limits, clock: Clock, executor: Executor) -> None:
        self.model = model
        self.table = SessionTable(model.name, model.capacity, limits.session_ttl_s, clock)
        self._limits = limits
        self._clock = clock
        self._executor = executor
        self._queue = FrameQueue(model.capacity, _MAX_STEP_ROWS)
        self._deletions: list[tuple[str, asyncio.Future[Ended]]] = []
        self._collectors: list[Callable[[], None]] = []
        self._turns = Turns(self._turn)
        self._running: _Running | None = None
        self._histories_are_next = False
        self._stepped_at_s = float("-inf")
        self._history_rows_per_s = 0.0

    def check_room(self, num_rows: int, num_collected: int = 0) -> None:
        """Admission, before anything of a request is queued.

        Args:
            num_collected: rows that wait beside the queue, with whoever collects them.

        Raises:
            QueueFull: the rows that wait already leave no room.
        """
        waiting, limit = self._queue.num_rows + num_collected, self._limits.max_queued_rows
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
        self.wake()

    def collect_from(self, flush: Callable[[], None]) -> None:
        """Call `flush` before each batch is taken: whoever collects rows enqueues them there."""
        self._collectors.append(flush)

    def wake(self) -> None:
        """Something waits: take a batch once what comes with it is here."""
        self._turns.call()

    @property
    def now_s(self) -> float:
        """On the clock that deadlines are given by."""
        return self._clock.monotonic_s()

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or runs, beside what collectors hold."""
        return not (self._queue or self._deletions or self._running or self.table.dirty)

    def advance(
        self, slot: int, position: int, time_us: int, values: Sequence[float], reply: Reply
    ) -> Advanced | None:
        """Apply a plain row of one session at once; the worker must be idle, and the caller holds the slot.

        What a frame of one entry comes to, without columns of one, which cost more than a small
        model's step.

        Args:
            time_us: or NO_TIME.
            values: F numbers.
            reply: NONE or LAST.

        Returns:
            None where the row is a duplicate, late, after a gap or refused: a frame must take it.

        Raises:
            EngineFailure: the run failed; the session stands before the row.
        """
        table = self.table
        committed = table.positions.item(slot)
        if position not in (NO_POSITION, committed):
            return None
        if time_us != NO_TIME:
            last = table.last_times_us.item(slot)
            if last == NO_TIME or time_us <= last or not self.model.frequency.is_next(last, time_us):
                return None
        rows = np.array(values, np.float64).reshape(1, 1, -1)
        try:
            forecasts = self.model.runner.step(np.array((slot,), np.int64), rows, reply)
        except Exception as error:
            raise self._failure(error, 1) from error
        self._stepped_at_s = table.commit_one(slot, committed + 1, time_us)
        return Advanced(committed + 1, forecasts)

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
        self.wake()
        return await done

    async def run(self) -> None:
        """Work until cancelled. A run that has begun then ends first: it commits or fails as a whole."""
        try:
            await self._turns.run()
        finally:
            if self._running is not None:
                await asyncio.wait([self._running.runs])
                self._finish()

    def _turn(self) -> None:
        """Take a batch and apply it, or begin to."""
        if self._running is not None:
            return
        self._delete_waiting()
        self._reset_dirty()
        for flush in self._collectors:
            flush()
        parts = self._take()
        if parts:
            self._apply(join(parts), is_history=parts[0].root is not None)
        if self._running is None and (self._queue or self._deletions):
            self.wake()

    def _take(self) -> list[Part]:
        """Steps and slices of histories in turn: no step shares a batch with a slice it would wait for."""
        now_s = self._clock.monotonic_s()
        if self._queue.has_steps:
            self._stepped_at_s = now_s
        taken: list[Part] = []
        if self._histories_are_next or not self._queue.has_steps:
            taken = self._queue.take_slices(self._limits.max_batch_size, self._num_history_rows(now_s))
        self._histories_are_next = not taken
        return self._still_wanted(taken or self._queue.take_steps(self._limits.max_batch_size), now_s)

    def _num_history_rows(self, now_s: float) -> int:
        if now_s - self._stepped_at_s > _STEPS_ARE_RECENT_S:
            return _HISTORY_ROWS
        rows = int(_HISTORY_BESIDE_STEPS_S * self._history_rows_per_s)
        return min(max(rows, _LEAST_HISTORY_ROWS), _HISTORY_ROWS)

    def _still_wanted(self, taken: list[Part], now_s: float) -> list[Part]:
        """Without the entries that nobody waits for any more, or whose deadline has passed."""
        kept = []
        for part in taken:
            dropped = part.frame.dropped
            if part.frame.deadline_s < now_s:
                self._leave(part, DeadlinePassed())
                continue
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

    def _leave(self, part: Part, error: StatecastError | None = None) -> None:
        """Entries go without being applied, a history without its remaining rows."""
        entries = slice(None) if part.entries is None else part.entries
        num_rows = int(part.frame.lengths[entries].sum()) - part.offset
        self._queue.finish(part, num_rows, is_over=True)
        self.table.settle(part.slots)
        if error is not None:
            part.frame.result.errors.update((part.entry(index), error) for index in range(len(part)))
        part.frame.settle(len(part))

    def _apply(self, batch: Batch, *, is_history: bool) -> None:
        table = self.table
        planned = plan_batch(
            batch,
            table.positions[batch.slots],
            table.last_times_us[batch.slots],
            self.model.frequency,
            self._limits.steps,
        )
        if len(batch.values) <= self._limits.max_inline_rows and not is_history:
            self._commit(batch, planned, *self._run(batch, planned))
            return
        began_s = self._clock.monotonic_s()
        runs = asyncio.get_running_loop().run_in_executor(self._executor, self._run, batch, planned)
        self._running = _Running(batch, planned, runs, began_s)
        runs.add_done_callback(lambda _: self._turns.guard(self._finish))

    def _finish(self) -> None:
        """Commit what the executor ran, and go on."""
        running = self._running
        if running is None:
            return
        self._running = None
        if running.batch.parts[0].root is not None:
            elapsed_s = self._clock.monotonic_s() - running.began_s
            self._history_rows_per_s = len(running.batch.values) / max(elapsed_s, 1e-6)
        self._commit(running.batch, running.planned, *running.runs.result())
        self.wake()

    def _run(self, batch: Batch, planned: BatchPlan) -> _Runs:
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
                planned.refused.update(dict.fromkeys(failed, self._failure(outcome.failure, len(failed))))
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

    def _failure(self, cause: Exception, num_sessions: int) -> EngineFailure:
        failure = EngineFailure(new_correlation_id())
        _log.error(
            "engine failure",
            model=self.model.name,
            num_sessions=num_sessions,
            correlation_id=failure.correlation_id,
            exc_info=cause,
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
