"""One server's part: a real worker over a real engine, on a loop that moves when told."""

from collections.abc import Coroutine
from typing import Any, TypeVar

import numpy as np

from models.frequency import Frequency
from service.clock import Clock
from service.engine.arena import States
from service.engine.model import ServedModel
from service.engine.resident_arena import ResidentArena
from service.sessions.exported import parse, record_of, to_bytes
from service.sessions.info import SessionInfo
from service.sessions.limits import Limits
from service.sessions.plan import StepLimits
from service.sessions.worker import SessionWorker
from service.store.table import NO_TIME
from tests.property.engine_failures import MODEL, Device, Engine, FailingRunner
from tests.property.engine_loop import Call, HandLoop
from tests.property.engine_truth import MAX_GAP_STEPS

T = TypeVar("T")

# Fewer slots than sessions, so that some leave memory and come back; fewer sessions than names; queues
# that fill, batches that are cut, runs that leave the loop.
CAPACITY = 4
MAX_SESSIONS = 8
TTL_S = 100.0
MAX_QUEUED_ROWS = 250
_LIMITS = Limits(
    session_ttl_s=TTL_S,
    max_sessions=MAX_SESSIONS,
    max_batch_size=3,
    max_queued_rows=MAX_QUEUED_ROWS,
    max_inline_rows=3,
    steps=StepLimits(max_gap_steps=MAX_GAP_STEPS, max_steps=5_000),
)
_MANY_TURNS = 1_000


class Process:
    """From its start, with no sessions, to the end of its loop's work.

    Attributes:
        runner: the engine's, which fails when told.
    """

    def __init__(self, engine: Engine, device: Device, clock: Clock, loop: HandLoop) -> None:
        engine.runner.reset(np.arange(CAPACITY))
        self.runner = FailingRunner(engine.runner, device)
        self._engine, self._loop = engine, loop
        frequency = Frequency.parse(engine.manifest.frequency)
        model = ServedModel(MODEL, 1, engine.manifest, frequency, CAPACITY, self.runner)
        self.worker = SessionWorker(model, _LIMITS, clock, loop.executor)
        loop.begin(self.worker.run())

    def check_integrity(self) -> None:
        """Slots, counts and arenas add up."""
        self.worker.table.check_integrity()
        if isinstance(self._engine.arena, ResidentArena):
            self._engine.arena.check_integrity()

    def stands(self, name: str) -> tuple[int, int | None]:
        """Position and last time of a session, wherever it is; as they begin where it is nowhere."""
        table, residency = self.worker.table, self.worker.residency
        slot = table.find_or_none(name)
        if slot is not None:
            return int(table.positions[slot]), table.last_time_us(slot)
        record = residency.leaving.get(name)
        if record is None and table.must_load:
            peeked = Call(residency.store.peek(residency.name, name))
            assert peeked.poll()
            record = peeked.outcome
        if record is None:
            return 0, None
        return record.position, None if record.last_time_us == NO_TIME else record.last_time_us

    def read(self, name: str) -> tuple[SessionInfo, States]:
        """A session and its state, each (*shape); nothing may be under way.

        Raises:
            UnknownSession: there is none.
        """
        snapshot = self._ask(self.worker.admin.read(name))
        states = self.worker.versions.newest.states.unpack([snapshot.record.states])
        return snapshot.info, {name: state[0] for name, state in states.items()}

    def export(self, name: str) -> bytes:
        """A session as bytes; nothing may be under way."""
        return to_bytes(self._ask(self.worker.admin.read(name)).record, self._engine.manifest)

    def put(self, name: str, exported: bytes) -> None:
        """Open a session as it was exported; nothing may be under way."""
        record = record_of(parse(exported, ""), name, self._engine.manifest)
        self._ask(self.worker.admin.write(record, replace=False))

    def _ask(self, call: Coroutine[Any, Any, T]) -> T:
        """What a call that stands between two batches returns; nothing else is under way."""
        asked = Call(call)
        for _ in range(_MANY_TURNS):
            self._loop.turn(asked.poll)
            if asked.is_done:
                break
        if isinstance(asked.outcome, Exception):
            raise asked.outcome
        return asked.outcome
