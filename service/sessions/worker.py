"""One model's sessions: a queue, batches of whatever is ready, and commits."""

import asyncio
from collections import deque
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import structlog

from service.engine.model import ServedModel
from service.engine.runner import Forecasts, Reply
from service.errors import (
    EngineFailure,
    QueueFull,
    StatecastError,
    TooManySessions,
    UnknownSession,
)
from service.sessions.chunk import Applied, Chunk, Deletion, Ended, Waiting
from service.sessions.plan import Plan, StepLimits, plan
from service.store.memory import MemoryStore, SessionRecord
from service.telemetry.correlation import new_correlation_id

_log = structlog.get_logger()

# Longer than any batch takes, short enough that a client tries again while it still matters.
_RETRY_AFTER_S = 0.1
# Bounds what one run holds in memory when many long histories wait together.
_MAX_BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one model's sessions; see the settings of the same names."""

    max_sessions: int
    max_batch_size: int
    max_queued_rows: int
    steps: StepLimits


@dataclass(slots=True)
class _Step:
    """A chunk on its way through the runner."""

    waiting: Waiting
    chunk: Chunk
    plan: Plan
    record: SessionRecord
    is_new: bool

    @property
    def group(self) -> tuple[int, Reply]:
        """Chunks of one length and one kind of reply share a run."""
        return len(self.plan.rows), self.chunk.reply


class SessionWorker:
    """Applies chunks to the sessions of one model, each exactly once and in order of arrival.

    A batch is whatever waits when the previous one ends, at most one chunk per session; there is no
    timer. The runner works in `executor`; everything else happens on the event loop, and the arena
    and the store are only touched between runs, by the worker's own task.
    """

    def __init__(self, model: ServedModel, store: MemoryStore, limits: Limits, executor: Executor) -> None:
        self.model = model
        self._store = store
        self._limits = limits
        self._executor = executor
        self._queues: dict[str, deque[Waiting]] = {}
        self._ready: deque[str] = deque()
        self._num_queued_rows = 0
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """Open sessions."""
        return len(self._store)

    def check_room(self, num_rows: int) -> None:
        """Admission, before anything of a request is queued.

        Raises:
            QueueFull: the rows that wait already leave no room.
        """
        waiting, limit = self._num_queued_rows, self._limits.max_queued_rows
        # A request larger than the whole queue passes when nothing else waits, or it never would.
        if waiting and waiting + num_rows > limit:
            raise QueueFull(limit, _RETRY_AFTER_S)

    def submit(self, request: Chunk | Deletion) -> "asyncio.Future[Applied | Ended]":
        """Queue a chunk or a deletion behind its session's earlier ones.

        The future gives `Applied` (for a deletion `Ended`) or raises a `StatecastError`. Cancelling it
        drops the chunk where its batch has not begun; after that it commits all the same.
        """
        waiting = Waiting(request)
        queue = self._queues.get(request.session_id)
        if queue is None:
            queue = self._queues[request.session_id] = deque()
            self._ready.append(request.session_id)
        queue.append(waiting)
        self._num_queued_rows += waiting.num_rows
        self._wake.set()
        return waiting.done

    def describe(self, session_id: str) -> Ended:
        """A session as it stands; rows that still wait are not in it.

        Raises:
            UnknownSession: there is none.
        """
        record = self._store.get(session_id)
        if record is None:
            raise UnknownSession(self.model.name, session_id)
        return Ended(record.position, record.last_time_us)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._ready:
                batch = self._take()
                await self._apply(batch)
                self._put_back_ready(batch)

    def _take(self) -> list[Waiting]:
        """At most one request of each session that has any, first come first served."""
        batch: list[Waiting] = []
        num_rows = 0
        while self._ready and len(batch) < self._limits.max_batch_size and num_rows < _MAX_BATCH_ROWS:
            waiting = self._queues[self._ready.popleft()].popleft()
            batch.append(waiting)
            num_rows += waiting.num_rows
        self._num_queued_rows -= num_rows
        return batch

    def _put_back_ready(self, batch: list[Waiting]) -> None:
        for waiting in batch:
            session_id = waiting.request.session_id
            if self._queues[session_id]:
                self._ready.append(session_id)
            else:
                del self._queues[session_id]

    async def _apply(self, batch: list[Waiting]) -> None:
        groups: dict[tuple[int, Reply], list[_Step]] = {}
        for waiting in batch:
            if waiting.done.done():
                continue
            try:
                step = self._begin(waiting)
            except StatecastError as error:
                waiting.done.set_exception(error)
                continue
            except Exception as error:
                self._fail([waiting], error)
                continue
            if step is not None:
                groups.setdefault(step.group, []).append(step)
        for steps in groups.values():
            await self._run_group(steps)

    def _begin(self, waiting: Waiting) -> _Step | None:
        """Plan a chunk, or delete at once. A new session gets a slot, and a record only on commit."""
        request = waiting.request
        if isinstance(request, Deletion):
            _settle(waiting, self._delete(request.session_id))
            return None
        record = self._store.use(request.session_id)
        committed, last_time_us = (record.position, record.last_time_us) if record else (0, None)
        planned = plan(request, committed, last_time_us, self.model.frequency, self._limits.steps)
        if record is not None:
            return _Step(waiting, request, planned, record, is_new=False)
        return _Step(waiting, request, planned, self._open(), is_new=True)

    def _open(self) -> SessionRecord:
        for _, expired in self._store.pop_expired():
            self.model.arena.release(expired.slot)
        # Slots, not records: the other new sessions of this batch hold theirs already.
        if len(self.model.arena) >= self._limits.max_sessions:
            raise TooManySessions(self._limits.max_sessions)
        return SessionRecord(self.model.arena.allocate())

    def _delete(self, session_id: str) -> Ended:
        ended = self.describe(session_id)
        record = self._store.delete(session_id)
        assert record is not None
        self.model.arena.release(record.slot)
        return ended

    async def _run_group(self, steps: list[_Step]) -> None:
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(self._executor, self._run, steps)
        try:
            # Shielded: a shutdown waits for a run that has begun, which commits or fails as a whole.
            forecasts = await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise
        except Exception as error:
            for step in steps:
                if step.is_new:
                    self.model.arena.release(step.record.slot)
            self._fail([step.waiting for step in steps], error)
        else:
            self._commit(steps, forecasts)

    def _run(self, steps: list[_Step]) -> Forecasts:
        """In the executor's thread: forecasts (B, N, K, Q) of a group; N differs by the reply."""
        runner = self.model.runner
        slots = np.array([step.record.slot for step in steps], np.int64)
        num_rows, reply = steps[0].group
        if num_rows == 0:
            return _none(len(steps)) if reply is Reply.NONE else runner.read_out(slots)[:, None]
        forecasts = runner.step(slots, np.stack([step.plan.rows for step in steps]), reply)
        if forecasts is None:
            return _none(len(steps))
        return forecasts if reply is Reply.EACH else forecasts[:, None]

    def _commit(self, steps: list[_Step], forecasts: Forecasts) -> None:
        for step, each in zip(steps, forecasts, strict=True):
            planned = step.plan
            step.record.position = planned.position
            step.record.last_time_us = planned.last_time_us
            self._store.commit(step.chunk.session_id, step.record)
            made_at = np.full(len(each), planned.position)
            if step.chunk.reply is Reply.EACH and len(planned.rows):
                each, made_at = each[planned.observed], planned.positions
            _settle(
                step.waiting,
                Applied(
                    planned.position,
                    planned.num_skipped,
                    planned.num_late,
                    planned.num_missing_steps,
                    each,
                    made_at,
                ),
            )

    def _fail(self, waiters: list[Waiting], cause: Exception) -> None:
        failure = EngineFailure(new_correlation_id())
        _log.error(
            "engine failure",
            model=self.model.name,
            num_sessions=len(waiters),
            correlation_id=failure.correlation_id,
            exc_info=cause,
        )
        for waiting in waiters:
            if not waiting.done.done():
                waiting.done.set_exception(failure)


def _settle(waiting: Waiting, outcome: Applied | Ended) -> None:
    """Whoever waited may have gone: the outcome stands without them."""
    if not waiting.done.done():
        waiting.done.set_result(outcome)


def _none(num_sessions: int) -> Forecasts:
    return np.empty((num_sessions, 0, 0, 0), np.float32)
