"""One model's sessions: a queue, batches of whatever is ready, and commits."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import structlog

from service.clock import Clock
from service.engine.arena import Slots
from service.engine.model import ServedModel
from service.engine.runner import Forecasts, Reply
from service.errors import (
    QueueFull,
    StoreUnavailable,
    UnknownVersion,
    UpgradeRefused,
)
from service.sessions.admin import SessionAdmin
from service.sessions.batch import Batch, join
from service.sessions.commits import Commits
from service.sessions.frame import NO_POSITION, Frame
from service.sessions.intake import MAX_STEP_ROWS, Intake
from service.sessions.limits import Limits
from service.sessions.operations import Operations
from service.sessions.placement import Fetch
from service.sessions.plan import BatchPlan, plan_batch
from service.sessions.queue import FrameQueue
from service.sessions.quota import Quota
from service.sessions.recovery import recover
from service.sessions.residency import Residency
from service.sessions.row_watch import RowWatches
from service.sessions.runs import engine_failure, run
from service.sessions.turns import Turns
from service.sessions.versions import UpgradePolicy, Versions
from service.store.contract import NO_TIME, SessionStore
from service.store.memory import MemoryStore
from service.telemetry.tracing import Tracing

_log = structlog.get_logger()

# Longer than any batch takes, short enough that a client tries again while it still matters.
_RETRY_AFTER_S = 0.1


@dataclass(frozen=True, slots=True)
class Advanced:
    """What one row did: rows consumed now, and the forecast (1, K, Q), None for Reply.NONE."""

    position: int
    forecasts: Forecasts | None


_T = TypeVar("_T")


class SessionWorker:
    """Applies frames to the sessions of one model, each row exactly once and in order of arrival.

    A batch is whatever waits when the previous one ends, at most one entry a session; there is no
    timer. Between batches sessions are loaded from the store that have been named since, and operations
    run. With a durable store a batch is answered when the store has it; see `Commits`.

    A small batch runs on the event loop's thread, a large one and slices of histories in `executor`;
    everything else happens on the event loop. Tables and states change only between runs.
    """

    def __init__(
        self,
        model: ServedModel,
        limits: Limits,
        clock: Clock,
        executor: Executor,
        store: SessionStore | None = None,
        fetch: Fetch | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self.versions = Versions(model)
        self.store = store or MemoryStore(limits.session_ttl_s, clock.wall_s)
        of_each = limits.max_tenant_sessions
        self.residency = Residency(
            self.versions,
            limits.max_sessions,
            limits.session_ttl_s,
            limits.num_recent_rows,
            clock,
            self.store,
            fetch,
            None if of_each is None else Quota(of_each, clock),
        )
        self.table = self.residency.table
        self.counts = self.residency.counts
        self.admin = SessionAdmin(self.residency, self.between_batches, self.submit)
        self._limits = limits
        self._clock = clock
        self._executor = executor
        self._queue = FrameQueue(model.capacity, MAX_STEP_ROWS)
        self.watches = RowWatches(self.residency, clock, self.between_batches)
        self._commits = Commits(self.residency, self._queue, clock, self._committed, tracing, self.watches)
        self._intake = Intake(
            self._queue, self.table, self.counts, clock, limits.max_batch_size, halves=self._commits.overlap
        )
        self._operations = Operations(self.wake)
        self._collectors: list[Callable[[], None]] = []
        self._turns = Turns(self._turn)
        # What the present turn goes on with beyond this turn of the event loop.
        self._task: asyncio.Task[None] | None = None
        # Whether something came while it ran, and whether it took a batch.
        self._was_called = self._took = False

    @property
    def model(self) -> ServedModel:
        """The newest version: what new sessions begin with."""
        return self.versions.newest.model

    def model_of(self, slot: int) -> ServedModel:
        """The version that a session is on; asked while its entry settles, before the slot can pass on."""
        return self.versions[self.table.versions.item(slot)].model

    def newest_of(self, slots: Slots) -> int:
        """The newest version that any of these sessions is on; see `model_of`."""
        if len(self.versions) == 1:
            return self.model.version
        indices = np.unique(self.table.versions[slots]).tolist()
        return max(self.versions[index].model.version for index in indices)

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
            self.counts.rows_refused += num_rows
            raise QueueFull(limit, _RETRY_AFTER_S)

    def submit(self, frame: Frame) -> None:
        """Queue a frame; its `done` is called when every entry is settled.

        Its slots come from `table.resolve`, with nothing awaited in between.
        """
        self.table.hold_all(frame.slots)
        self.enqueue(frame)

    def enqueue(self, frame: Frame) -> None:
        """`submit` for a frame whose slots are held already, once for each entry."""
        if math.isnan(frame.arrived_s):
            frame.arrived_s = self._clock.monotonic_s()
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
    def num_waiting(self) -> int:
        """Rows in the queue and in the batch that runs."""
        return self._queue.num_rows

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or runs, beside what collectors hold, and rows need only be stepped."""
        return self._is_plain and not (self._queue or self._task or self.table.dirty)

    @property
    def _is_plain(self) -> bool:
        return not self.store.is_durable and not self._operations and self.residency.is_settled

    def advance(
        self,
        slot: int,
        position: int,
        time_us: int,
        values: Sequence[float],
        reply: Reply,
        arrived_s: float = math.nan,
    ) -> Advanced | None:
        """Apply a plain row of one session at once; the worker must be idle, and the caller holds the slot.

        What a frame of one entry comes to, without columns of one, which cost more than a small
        model's step.

        Args:
            time_us: or NO_TIME.
            values: W numbers, as the graph reads them.
            reply: NONE or LAST.
            arrived_s: when it came.

        Returns:
            None where the row is a duplicate, late, after a gap, refused or watched: a frame must take it.

        Raises:
            EngineFailure: the run failed; the session stands before the row.
        """
        table = self.table
        if self.watches.by_session and self.watches.is_watched(slot):
            return None
        committed = table.positions.item(slot)
        if position not in (NO_POSITION, committed):
            return None
        if time_us != NO_TIME:
            last = table.last_times_us.item(slot)
            if last == NO_TIME or time_us <= last or not self.model.frequency.is_next(last, time_us):
                return None
        rows = np.array(values, np.float64).reshape(1, 1, -1)
        began_s = self._clock.monotonic_s()
        try:
            runner = self.model_of(slot).runner
            forecasts = runner.step(np.array((slot,), np.int64), rows, reply)
        except Exception as error:
            self.counts.rows_refused += 1
            raise engine_failure(self.model.name, error, 1) from error
        self.residency.recent.add(np.array((slot,), np.int64), rows)
        self.counts.add_row(arrived_s, began_s, self._clock.monotonic_s())
        self._intake.stepped_at_s = table.commit_one(slot, committed + 1, time_us)
        return Advanced(committed + 1, forecasts)

    async def serve(self, model: ServedModel, policy: UpgradePolicy) -> None:
        """Serve another version from the next batch on; live sessions do as `policy` says.

        Raises:
            UpgradeRefused: they cannot; nothing was changed.
        """

        async def serve() -> None:
            self.versions.check(model, policy, self._limits.num_recent_rows)
            self.table.newest = self.versions.serve(model, policy).index

        await self.between_batches(serve)

    async def unload(self, version: int) -> None:
        """Stop serving a version.

        Raises:
            UnknownVersion: it is not loaded.
            UpgradeRefused: it is the one that is served, or sessions in memory are on it.
        """

        async def unload() -> None:
            model, loaded = self.model.name, {each.model.version: each for each in self.versions.all()}
            if version not in loaded:
                raise UnknownVersion(model, version, list(loaded))
            if loaded[version] is self.versions.newest:
                raise UpgradeRefused(model, version, "it is the one that is served")
            if num_sessions := self.residency.num_sessions(loaded[version].index):
                raise UpgradeRefused(model, version, f"{num_sessions} sessions in memory are on it")
            self.versions.unload(loaded[version].index)

        await self.between_batches(unload)

    async def recover(self) -> tuple[int, list[str]]:
        """Before `run`: bring back what the store journalled; see `recovery.recover`.

        Raises:
            StoreUnavailable: it cannot be read.
        """
        recovered = await self.store.recover(self.model.name, self.model.manifest.row_layout.width)
        await self.residency.placement.fetch_versions(recovered.records)
        found = await recover(recovered, self.residency)
        self.counts.rows_recovered += found[0]
        if self.store.is_durable:
            self.residency.num_elsewhere = await self.store.count(self.model.name) - len(self.table)
        return found

    async def between_batches(self, act: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Do something while no batch runs and none is taken; returns or raises what it does."""
        return await self._operations.do(act)

    async def run(self) -> None:
        """Work until cancelled. A batch that has begun then ends first: it commits or fails as a whole."""
        try:
            await self._turns.run()
        finally:
            if self._task is not None:
                await asyncio.wait([self._task])
            await self._commits.drained()

    def _turn(self) -> None:
        """Take a batch and apply it, or begin to."""
        if self._task is not None:
            self._was_called = True
            return
        if not self._is_plain:
            if self._operations or not self._commits.is_full:
                self._go_on(self._full_turn())
            return
        self._was_called = False
        self.residency.reset_dirty()
        self._collect()
        parts = self._intake.take()
        if parts:
            batch, is_history = join(parts), parts[0].root is not None
            if len(batch.values) > self._limits.max_inline_rows or is_history:
                self._go_on(self._apply(batch, is_history=is_history))
                return
            planned = self._plan(batch)
            self._commits.enter(batch, planned, run(batch, planned, self.residency, self._clock))
        if self._queue or not self._is_plain:
            self.wake()

    def _go_on(self, rest: Coroutine[Any, Any, None]) -> None:
        """The rest of a turn that cannot end in this turn of the event loop."""
        self._task = asyncio.get_running_loop().create_task(rest)
        self._task.add_done_callback(lambda task: self._turns.guard(lambda: self._ended(task)))

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if not task.cancelled():
            task.result()
        # What is held back comes with `_committed`: until then turns would find nothing.
        can_take = self._queue and (self._took or self._commits.is_empty)
        if can_take or self._was_called or self._operations or self.table.unloaded:
            self.wake()

    def _committed(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            self._turns.guard(task.result)
        self.wake()

    async def _full_turn(self) -> None:
        self._was_called = False
        if self._operations or self.residency.is_upgrading:
            await self._commits.drained()
        while self._operations:
            self.residency.reset_dirty()
            await self._operations.run_next()
        self._collect()
        failed = await self.residency.load_missing()
        # From here to the run nothing is awaited: what is taken is loaded.
        self.residency.reset_dirty()
        if failed:
            self._intake.refuse(failed)
        parts = self._intake.take()
        self._took = bool(parts)
        if parts:
            await self._apply(join(parts), is_history=parts[0].root is not None)
        await self.residency.leaving.save()

    def _collect(self) -> None:
        for flush in self._collectors:
            flush()

    def _plan(self, batch: Batch) -> BatchPlan:
        table = self.table
        planned = plan_batch(
            batch,
            table.positions[batch.slots],
            table.last_times_us[batch.slots],
            self.model.frequency,
            self._limits.steps,
        )
        if self.watches.by_session:
            planned.watched = self.watches.look(batch, planned)
        return planned

    async def _apply(self, batch: Batch, *, is_history: bool) -> None:
        if self.residency.is_upgrading:
            await self._upgrade(batch)
        planned = self._plan(batch)
        if len(batch.values) <= self._limits.max_inline_rows and not is_history:
            outcomes = run(batch, planned, self.residency, self._clock)
        else:
            began_s = self._clock.monotonic_s()
            loop = asyncio.get_running_loop()
            outcomes = await loop.run_in_executor(
                self._executor, run, batch, planned, self.residency, self._clock
            )
            if is_history:
                self._intake.ran_history(len(batch.values), self._clock.monotonic_s() - began_s)
        if self.store.is_durable:
            await self._commits.begin(batch, planned, outcomes)
        else:
            self._commits.enter(batch, planned, outcomes)

    async def _upgrade(self, batch: Batch) -> None:
        try:
            await self.residency.upgrade(batch.slots)
        except StoreUnavailable as error:
            # They go on in memory; the batch itself will be refused if the store stays away.
            _log.warning("upgraded sessions are not saved yet", reason=str(error))
