"""A real worker over a real engine, turned by hand, with a ledger of what must come of it."""

import math
from collections import Counter
from collections.abc import Callable

import pytest

from service.engine.runner import Reply
from service.errors import EngineFailure, QueueFull, TooManySessions, UnknownSession
from service.sessions.frame import Frame
from service.sessions.info import Snapshot
from service.store.table import NO_TIME
from tests.fakes import HandClock
from tests.property.engine_explain import Deletion
from tests.property.engine_failures import Device, engine
from tests.property.engine_ledger import Ledger
from tests.property.engine_loop import TURNS_TO_HEAR, Call, HandLoop
from tests.property.engine_process import CAPACITY, MAX_QUEUED_ROWS, MAX_SESSIONS, TTL_S, Process
from tests.property.engine_sent import Draft, Sent, columns
from tests.property.engine_truth import Truth

# More turns of the event loop than anything that is not stuck takes.
_MANY_TURNS = 10_000
_TICK_S = 0.06
# So long that the next slices of histories are short.
_RUN_S = 0.01


class Rig:
    """Nothing moves but by these methods, and whatever moved is held against the ledger.

    Attributes:
        seen: what has happened, so that a test can tell that it did.
    """

    def __init__(self, kind: str, cell: str, device: Device) -> None:
        self.ledger = Ledger(Truth(cell))
        self.seen = self.ledger.seen
        self._frames: list[Frame] = []
        self._cell, self._device = cell, device
        self._clock, self._loop = HandClock(), HandLoop()
        self._answers: Counter[Frame] = Counter()
        self._deletions: list[tuple[str, Call]] = []
        self._owners: dict[int, str] = {}
        self.process = self._begin(kind, 0)

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
        self.process.runner.fail(ahead, within)

    def tick(self) -> None:
        """Move the clock, by far less than the time to live."""
        self._move_clock(_TICK_S)

    @property
    def open_frames(self) -> list[Frame]:
        """Those that are not answered."""
        return [frame for frame in self._frames if frame.num_open]

    @property
    def may_expire(self) -> bool:
        """Whether nothing is under way of which the ledger could not tell when it was last used."""
        waiting = self.ledger.waiting.values()
        is_single = all(len(sent.values) == 1 for entries in waiting for sent in entries)
        return is_single and self.process.worker.residency.is_settled

    def expire(self) -> None:
        """Move the clock past the time to live."""
        self._move_clock(TTL_S + 1)
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
        exported = {name: self.process.export(name) for name in names}
        self._loop.end()
        self.process = self._begin(kind, 1 - self._number)
        for name, content in exported.items():
            self.process.put(name, content)
            self.ledger.imported(name)
        self.seen["moved to another engine"] += len(names)

    def close(self) -> None:
        """End the worker and the loop."""
        self._loop.close()

    def _begin(self, kind: str, number: int) -> Process:
        self._number = number
        self._owners.clear()
        return Process(engine(kind, self._cell, number, CAPACITY), self._device, self._clock, self._loop)

    def _move_clock(self, seconds: float) -> None:
        self._clock.now_s += seconds
        self.ledger.pass_deadlines(self._clock.now_s, self._loop.may_run)

    def _in_loop(self, act: Callable[[], None]) -> None:
        """One turn of the event loop with `act` at its end, and a look at what came before it and of it."""

        def look_and_act() -> None:
            self._listen()
            act()

        self._loop.turn(look_and_act)
        self._listen()

    def _send(self, drafts: list[Draft], reply: Reply, in_time: bool) -> None:
        if frame := self._frame(drafts, reply, math.inf if in_time else self._clock.now_s):
            self.process.worker.enqueue(frame)

    def _advance(self, draft: Draft, reply: Reply) -> None:
        frame = self._frame([draft], reply, math.inf)
        if frame is None:
            return
        if not self.process.worker.is_idle:
            self.process.worker.enqueue(frame)
            return
        (slot,), (position,) = frame.slots.tolist(), frame.positions.tolist()
        time = NO_TIME if draft.times_us is None else int(draft.times_us[0])
        try:
            advanced = self.process.worker.advance(slot, position, time, draft.values[0].tolist(), reply)
        except EngineFailure as error:
            frame.result.errors[0] = error
            self.process.worker.table.settle(frame.slots)
        else:
            if advanced is None:
                self.process.worker.enqueue(frame)
                return
            frame.result.positions[0], frame.result.dense = advanced.position, advanced.forecasts
            self.process.worker.table.settle_committed(frame.slots)
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
        self._frames.append(frame)
        for index, draft in enumerate(drafts):
            self.ledger.add(Sent(draft, slots[draft.name], frame, index))
        self.seen["a session twice in a frame"] += len(slots) < len(drafts)
        return frame

    def _delete(self, name: str) -> None:
        call = Call(self.process.worker.admin.delete(name))
        call.poll()
        self._deletions.append((name, call))

    def _has_room(self, num_rows: int) -> bool:
        waiting = self.ledger.num_waiting_rows()
        has_room = not waiting or waiting + num_rows <= MAX_QUEUED_ROWS
        try:
            self.process.worker.check_room(num_rows)
        except QueueFull:
            assert not has_room, f"{num_rows} rows refused, {waiting} wait"
            self.seen["QueueFull"] += 1
            return False
        # Of a history some rows may be done already.
        has_history = any(len(sent.values) > 1 for sent, _ in self.ledger.all_waiting())
        assert has_room or has_history, f"{num_rows} rows let in, {waiting} wait"
        return True

    def _resolve(self, drafts: list[Draft]) -> dict[str, int]:
        """A slot, held for each entry, for each session of a frame that has one or gets one."""
        slots: dict[str, int] = {}
        for draft in drafts:
            try:
                slot = self.process.worker.table.resolve(draft.name)
            except TooManySessions:
                self._check_full(draft.name, slots)
                continue
            self.seen["a slot used again"] += self._owners.get(slot, draft.name) != draft.name
            self._owners[slot] = draft.name
            slots[draft.name] = slot
            # At once: to find room for the next one, sessions for which nothing waits leave memory.
            self.process.worker.table.hold(slot)
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
        self.process.worker.table.check_integrity()
        open_entries = Counter(sent.frame for waiting in self.ledger.waiting.values() for sent in waiting)
        for frame in self._frames:
            assert frame.num_open == open_entries[frame]
            assert self._answers[frame] == (not frame.num_open)

    def _listen_to(self, name: str, deletions: list[Deletion], num_counted: int) -> None:
        waiting = self.ledger.waiting.get(name)
        num_waiting = int(self.process.worker.table.num_waiting[waiting[0].slot]) if waiting else 0
        for sent in self.ledger.hear(name, num_waiting, deletions, self.process.stands(name)):
            if isinstance(sent.error, EngineFailure):
                assert sent.slot in self.process.runner.lost, f"{name} failed, but no call for it did"
            if isinstance(sent.error, TooManySessions):
                assert num_counted > MAX_SESSIONS, f"{name} refused among {num_counted}"

    def _check_idle(self) -> None:
        """Nothing waits, nothing leaked, and every forecast and state is right."""
        assert not self.process.worker.table.num_waiting.any(), self.process.worker.table.num_waiting
        assert self.process.worker.residency.is_settled
        self.process.check_integrity()
        assert not self._loop.may_run
        # A queue that is empty lets anything in.
        self.process.worker.check_room(10 * MAX_QUEUED_ROWS)
        self._frames.clear()
        self._answers.clear()
        self.process.runner.lost.clear()
        self.ledger.check_forecasts()
        for name in self.ledger.open_names():
            info, states = self.process.read(name)
            self.ledger.check_session(name, (info.position, info.last_time_us), states)
            self.seen["a session in the store"] += not info.in_memory
        for name in self.ledger.over_names():
            with pytest.raises(UnknownSession):
                self.process.read(name)


def _deletion(outcome: object) -> Deletion:
    if isinstance(outcome, Snapshot):
        return outcome.info
    assert isinstance(outcome, UnknownSession), outcome
    return outcome
