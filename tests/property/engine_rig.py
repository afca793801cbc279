"""A real worker over a real engine, turned by hand, with a ledger of what must come of it."""

import math
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import numpy as np
import pytest

from models.frequency import Frequency
from service.engine.model import ServedModel
from service.engine.runner import Reply
from service.errors import EngineFailure, QueueFull, TooManySessions, UnknownSession
from service.sessions.exported import parse, record_of, to_bytes
from service.sessions.frame import Frame
from service.sessions.info import Snapshot
from service.sessions.plan import StepLimits
from service.sessions.worker import Limits, SessionWorker
from service.store.table import NO_TIME
from tests.fakes import HandClock
from tests.property.engine_explain import Deletion
from tests.property.engine_failures import MODEL, Device, FailingRunner, engine
from tests.property.engine_ledger import Ledger
from tests.property.engine_loop import TURNS_TO_HEAR, Call, HandLoop
from tests.property.engine_sent import Draft, Sent, columns
from tests.property.engine_truth import MAX_GAP_STEPS, Truth

T = TypeVar("T")

# Fewer slots than sessions, so that some leave memory and come back; fewer sessions than names; queues
# that fill, batches that are cut, runs that leave the loop.
CAPACITY = 4
MAX_SESSIONS = 8
_TTL_S = 100.0
_MAX_QUEUED_ROWS = 1_000
_LIMITS = Limits(
    session_ttl_s=_TTL_S,
    max_sessions=MAX_SESSIONS,
    max_batch_size=3,
    max_queued_rows=_MAX_QUEUED_ROWS,
    max_inline_rows=3,
    steps=StepLimits(max_gap_steps=MAX_GAP_STEPS, max_steps=5_000),
)
# More turns of the event loop than anything that is not stuck takes.
_MANY_TURNS = 10_000
_TICK_S = 0.06
# So long that the next slices of histories are short.
_RUN_S = 0.01


class Rig:
    """Nothing moves but by these methods, and whatever moved is held against the ledger.

    Attributes:
        seen: what has happened, so that a test can tell that it did.
        frames: since everything was settled last.
    """

    def __init__(self, kind: str, cell: str, device: Device) -> None:
        self.ledger = Ledger(Truth(cell))
        self.seen = self.ledger.seen
        self.frames: list[Frame] = []
        self._cell, self._device = cell, device
        self._clock, self._loop = HandClock(), HandLoop()
        self._answers: Counter[Frame] = Counter()
        self._deletions: list[tuple[str, Call]] = []
        self._owners: dict[int, str] = {}
        self._open(kind, 0)

    def send(self, drafts: list[Draft], reply: Reply, *, in_time: bool = True) -> None:
        """Submit a frame of the entries whose sessions get a slot, if the queue has room.

        Args:
            in_time: whether there is no deadline, else the next tick of the clock is past it.
        """
        self._in_loop(lambda: self._send(drafts, reply, in_time))

    def advance(self, draft: Draft, reply: Reply) -> None:
        """Apply a single row at once where the worker is idle, else as a frame."""
        self._in_loop(lambda: self._advance(draft, reply))

    def drop(self, frame: Frame, entry: int | None = None) -> None:
        """Nobody waits for a frame, or for one of its entries."""
        if entry is None:
            frame.drop()
        else:
            frame.drop_entry(entry)
        self.ledger.drop(frame, entry, self._loop.may_run)

    def delete(self, name: str) -> None:
        """Ask for a session's end."""
        self._in_loop(lambda: self._delete(name))

    def fail(self, ahead: int, within: int) -> None:
        """See `FailingRunner.fail`."""
        self.runner.fail(ahead, within)

    def tick(self) -> None:
        """Move the clock, by far less than the time to live."""
        self._move_clock(_TICK_S)

    def _move_clock(self, seconds: float) -> None:
        self._clock.now_s += seconds
        self.ledger.pass_deadlines(self._clock.now_s, self._loop.may_run)

    @property
    def may_expire(self) -> bool:
        """Whether nothing is under way of which the ledger could not tell when it was last used."""
        waiting = self.ledger.waiting.values()
        return all(len(sent.values) == 1 for entries in waiting for sent in entries)

    def expire(self) -> None:
        """Move the clock past the time to live."""
        self._move_clock(_TTL_S + 1)
        self.ledger.begin_epoch()

    def turn(self) -> None:
        """One turn of the event loop, and a look at what came of it."""
        self._in_loop(lambda: None)

    def finish_run(self) -> None:
        """The run that is under way in the executor comes to its end; it took a while."""
        if self._loop.finish_run():
            self._move_clock(_RUN_S)

    def settle(self) -> None:
        """Turn until everything is answered; then everything must add up."""
        for _ in range(_MANY_TURNS):
            if not (self.ledger.waiting or self._deletions):
                break
            self.finish_run()
            self.turn()
        assert not self.ledger.waiting, f"never answered: {self.ledger.waiting}"
        assert not self._deletions, f"never answered: {self._deletions}"
        for _ in range(TURNS_TO_HEAR):
            self.turn()
        self._check_idle()

    def move(self, kind: str) -> None:
        """Export every session, import them into another engine and go on there."""
        self.settle()
        names = self.ledger.open_names()[::-1]
        manifest = self.worker.model.manifest
        exported = [to_bytes(self._ask(self.worker.admin.read(name)).record, manifest) for name in names]
        self._loop.end()
        self._open(kind, 1 - self._number)
        for name, content in zip(names, exported, strict=True):
            record = record_of(parse(content), name, manifest)
            self._ask(self.worker.admin.write(record, replace=False))
            self.ledger.imported(name)
        self.seen["moved to another engine"] += len(names)

    def close(self) -> None:
        """End the worker and the loop."""
        self._loop.close()

    def _open(self, kind: str, number: int) -> None:
        self._number = number
        opened = engine(kind, self._cell, number, CAPACITY)
        opened.runner.reset(np.arange(CAPACITY))
        self.runner = FailingRunner(opened.runner, self._device)
        frequency = Frequency.parse(opened.manifest.frequency)
        model = ServedModel(MODEL, 1, opened.manifest, frequency, CAPACITY, self.runner)
        self.worker = SessionWorker(model, _LIMITS, self._clock, self._loop.executor)
        self._loop.begin(self.worker.run())
        self._owners.clear()

    def _in_loop(self, act: Callable[[], None]) -> None:
        """One turn of the event loop with `act` at its end, and a look at what came before it and of it."""

        def look_and_act() -> None:
            self._listen()
            act()

        self._loop.turn(look_and_act)
        self._listen()

    def _send(self, drafts: list[Draft], reply: Reply, in_time: bool) -> None:
        if frame := self._frame(drafts, reply, math.inf if in_time else self._clock.now_s):
            self.worker.enqueue(frame)

    def _advance(self, draft: Draft, reply: Reply) -> None:
        frame = self._frame([draft], reply, math.inf)
        if frame is None:
            return
        if not self.worker.is_idle:
            self.worker.enqueue(frame)
            return
        (slot,), (position,) = frame.slots.tolist(), frame.positions.tolist()
        time = NO_TIME if draft.times_us is None else int(draft.times_us[0])
        try:
            advanced = self.worker.advance(slot, position, time, draft.values[0].tolist(), reply)
        except EngineFailure as error:
            frame.result.errors[0] = error
            self.worker.table.settle(frame.slots)
        else:
            if advanced is None:
                self.worker.enqueue(frame)
                return
            frame.result.positions[0], frame.result.dense = advanced.position, advanced.forecasts
            self.worker.table.settle_committed(frame.slots)
            self.seen["a row applied at once"] += 1
        frame.settle(1)

    def _frame(self, drafts: list[Draft], reply: Reply, deadline_s: float) -> Frame | None:
        """A frame in the ledger; None where nothing of it may be submitted."""
        if not self._has_room(sum(len(draft.values) for draft in drafts)):
            return None
        slots = self._resolve(drafts)
        drafts = [draft for draft in drafts if draft.name in slots]
        if not drafts:
            return None

        def answered(frame: Frame) -> None:
            self._answers[frame] += 1

        frame = columns(drafts, slots, reply, answered, deadline_s)
        self.frames.append(frame)
        for index, draft in enumerate(drafts):
            self.ledger.add(Sent(draft, slots[draft.name], frame, index))
        self.seen["a session twice in a frame"] += len(slots) < len(drafts)
        return frame

    def _delete(self, name: str) -> None:
        call = Call(self.worker.admin.delete(name))
        call.poll()
        self._deletions.append((name, call))

    def _ask(self, call: Coroutine[Any, Any, T]) -> T:
        """What a call that stands between two batches returns; nothing else is under way."""
        asked = Call(call)
        self._loop.turn(lambda: asked.poll() and None)
        for _ in range(_MANY_TURNS):
            if asked.poll():
                break
            self._loop.turn(lambda: None)
        if isinstance(asked.outcome, Exception):
            raise asked.outcome
        return asked.outcome

    def _has_room(self, num_rows: int) -> bool:
        waiting = self.ledger.num_waiting_rows()
        has_room = not waiting or waiting + num_rows <= _MAX_QUEUED_ROWS
        try:
            self.worker.check_room(num_rows)
        except QueueFull:
            assert not has_room, f"{num_rows} rows refused, {waiting} wait"
            self.seen["QueueFull"] += 1
            return False
        # Of a history some rows may be done already.
        assert has_room or not self.may_expire, f"{num_rows} rows let in, {waiting} wait"
        return True

    def _resolve(self, drafts: list[Draft]) -> dict[str, int]:
        """A slot, held for each entry, for each session of a frame that has one or gets one."""
        slots: dict[str, int] = {}
        for draft in drafts:
            try:
                slot = self.worker.table.resolve(draft.name)
            except TooManySessions:
                self._check_full(draft.name, slots)
                continue
            self.seen["a slot used again"] += self._owners.get(slot, draft.name) != draft.name
            self._owners[slot] = draft.name
            slots[draft.name] = slot
            # At once: to find room for the next one, sessions for which nothing waits leave memory.
            self.worker.table.hold(slot)
        return slots

    def _check_full(self, name: str, slots: dict[str, int]) -> None:
        """A session was refused: it is one too many, or no session in memory can make room for it."""
        self.seen["TooManySessions"] += 1
        busy = {*self.ledger.waiting, *slots}
        is_new = not self.ledger.standing(name).is_open
        too_many = is_new and len(self.ledger.counted_names() | busy) >= MAX_SESSIONS
        assert too_many or len(busy) >= CAPACITY, f"{name} refused, new: {is_new}, only {busy} are busy"

    def _listen(self) -> None:
        """Hold what was answered since the last time against the ledger."""
        answered: dict[str, list[Deletion]] = {}
        waiting, self._deletions = self._deletions, []
        for name, call in waiting:
            if not call.poll():
                self._deletions.append((name, call))
                continue
            answered.setdefault(name, []).append(_deletion(call.outcome))
            self.seen["a deletion while rows wait"] += name in self.ledger.waiting
        counted = self.ledger.counted_names()
        for name in sorted({*self.ledger.waiting, *answered}):
            self._listen_to(name, answered.get(name, []), len(counted | {name}))
        self.worker.table.check_integrity()
        open_entries = Counter(sent.frame for waiting in self.ledger.waiting.values() for sent in waiting)
        for frame in self.frames:
            assert frame.num_open == open_entries[frame]
            assert self._answers[frame] == (not frame.num_open)

    def _listen_to(self, name: str, deletions: list[Deletion], num_counted: int) -> None:
        waiting = self.ledger.waiting.get(name)
        num_waiting = int(self.worker.table.num_waiting[waiting[0].slot]) if waiting else 0
        for sent in self.ledger.hear(name, num_waiting, deletions, self._stands(name)):
            if isinstance(sent.error, EngineFailure):
                assert sent.slot in self.runner.lost, f"{name} failed, but no call for it did"
            if isinstance(sent.error, TooManySessions):
                assert num_counted > MAX_SESSIONS, f"{name} refused among {num_counted}"

    def _stands(self, name: str) -> tuple[int, int | None]:
        """Position and last time of a session, wherever it is; as they begin where it is nowhere."""
        table, residency = self.worker.table, self.worker.residency
        slot = table.find_or_none(name)
        if slot is not None:
            return int(table.positions[slot]), table.last_time_us(slot)
        record = residency.leaving(name)
        if record is None and table.must_load:
            peeked = Call(residency.store.peek(residency.name, name))
            assert peeked.poll()
            record = peeked.outcome
        if record is None:
            return 0, None
        return record.position, None if record.last_time_us == NO_TIME else record.last_time_us

    def _check_idle(self) -> None:
        """Nothing waits, nothing leaked, and every forecast and state is right."""
        assert not self.worker.table.num_waiting.any(), self.worker.table.num_waiting
        assert self.worker.residency.is_settled
        assert not self._loop.may_run
        # A queue that is empty lets anything in.
        self.worker.check_room(10 * _MAX_QUEUED_ROWS)
        self.frames.clear()
        self._answers.clear()
        self.runner.lost.clear()
        self.ledger.check_forecasts()
        for name in self.ledger.open_names():
            snapshot = self._ask(self.worker.admin.read(name))
            states = self.worker.versions.newest.states.unpack([snapshot.record.states])
            stands = snapshot.info.position, snapshot.info.last_time_us
            self.ledger.check_session(name, stands, {key: state[0] for key, state in states.items()})
            self.seen["a session in the store"] += not snapshot.info.in_memory
        for name in self.ledger.over_names():
            with pytest.raises(UnknownSession):
                self._ask(self.worker.admin.read(name))


def _deletion(outcome: object) -> Deletion:
    if isinstance(outcome, Snapshot):
        return outcome.info
    assert isinstance(outcome, UnknownSession), outcome
    return outcome
