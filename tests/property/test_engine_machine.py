"""Sessions through the real engine, in any order of anything that can happen to them."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from service.engine.runner import Reply
from tests.property.engine_entries import ENTRIES, NAMES, START_US, Entry, rows_of, times_of
from tests.property.engine_failures import KINDS, Device
from tests.property.engine_process import CAPACITY
from tests.property.engine_rig import Rig
from tests.property.engine_sent import Draft

assert len(NAMES) > CAPACITY

# What the examples must have met; a change that keeps them from it hides what this file is for.
MUST_SEE = {
    "forecasts compared",
    "a history in slices",
    "a history failed between slices",
    "a session twice in a frame",
    "a slot used again",
    "a row applied at once",
    "a session expired",
    "a deletion while rows wait",
    "an entry dropped before it ran",
    "moved to another engine",
    "EngineFailure",
    "PositionConflict",
    "TooManySessions",
    "QueueFull",
    "DeadlinePassed",
    "skipped",
    "late",
    "missing",
}


# Before an engine's call, or at one of ONNX Runtime's within it.
WITHIN = st.integers(0, 2)
FRAMES = st.lists(
    st.tuples(
        st.lists(ENTRIES, min_size=1, max_size=4),
        st.sampled_from([Reply.NONE, Reply.LAST, Reply.EACH]),
        st.sampled_from([True, True, True, False]),
    ),
    min_size=1,
    max_size=3,
)


class Sessions(RuleBasedStateMachine):
    """Callers, deletions, the clock, the device and the event loop, each moving when told."""

    def __init__(self, kind: str, cell: str, device: Device, seen: Counter) -> None:
        super().__init__()
        self.kind = kind
        self.rig = Rig(kind, cell, device)
        self.seen = seen
        self.tips: dict[str, int] = {}

    @rule(frames=FRAMES, failing=st.one_of(st.none(), st.integers(1, 12)), within=WITHIN)
    def send(self, frames, failing, within):
        """Frames that come one after the other; a call of the engine that comes with them may fail."""
        if failing is not None:
            self.rig.fail(failing, within)
        for entries, reply, in_time in frames:
            self.rig.send([self._draft(entry) for entry in entries], reply, in_time=in_time)

    # A rule comes up as often as any other.
    @rule(frames=FRAMES)
    def send_and_delete(self, frames):
        """Frames, and the end of a session that is in one of them."""
        self.send(frames, None, 0)
        self.rig.delete(frames[0][0][0].name)

    @rule(frames=FRAMES, turns=st.integers(1, 20))
    def send_and_turn(self, frames, turns):
        """Frames, and time for the engine to take some."""
        self.send(frames, None, 0)
        self.turn(turns)

    @rule(entry=ENTRIES, reply=st.sampled_from([Reply.NONE, Reply.LAST]), quiet=st.booleans())
    def advance(self, entry, reply, quiet):
        """A row by itself, beside nothing or beside whatever there is."""
        if quiet:
            self.rig.settle()
        self.rig.advance(self._draft(entry._replace(num_rows=1)), reply)

    @rule(turns=st.integers(1, 20))
    def turn(self, turns):
        """Turns of the event loop."""
        for _ in range(turns):
            self.rig.turn()

    @rule(turns=st.integers(0, 12))
    def finish_run(self, turns):
        """A run in the executor ends, and the worker hears of it after some turns."""
        self.rig.finish_run()
        self.turn(turns)

    @precondition(lambda self: self.rig.open_frames)
    @rule(data=st.data())
    def drop(self, data):
        """Nobody waits for a frame or one of its entries any more."""
        frame = data.draw(st.sampled_from(self.rig.open_frames))
        entry = data.draw(st.one_of(st.none(), st.integers(0, len(frame.slots) - 1)))
        self.rig.drop(frame, entry)

    @rule(name=st.sampled_from(NAMES), turns=st.integers(0, 12))
    def delete(self, name, turns):
        """Somebody ends a session."""
        self.rig.delete(name)
        self.turn(turns)

    @rule(ahead=st.integers(1, 6), within=WITHIN)
    def fail(self, ahead, within):
        """A coming call of the engine fails, at once or within."""
        self.rig.fail(ahead, within)

    @rule()
    def tick(self):
        """A little time passes."""
        self.rig.tick()

    @precondition(lambda self: self.rig.may_expire)
    @rule()
    def expire(self):
        """A time to live passes."""
        self.rig.expire()

    @rule()
    def settle(self):
        """Everything is answered, and adds up."""
        self.rig.settle()

    @rule()
    def move(self):
        """The process ends, and another goes on from exported states."""
        self.rig.move(self.kind)

    def teardown(self):
        try:
            self.rig.settle()
        finally:
            self.rig.close()
            self.seen.update(self.rig.seen)

    def _draft(self, entry: Entry) -> Draft:
        times, self.tips[entry.name] = times_of(entry, self.tips.get(entry.name, START_US))
        position = None
        if entry.place is not None:
            position = max(self.rig.ledger.next_position(entry.name) + entry.place, 0)
        return Draft(entry.name, rows_of(entry), times, position)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_whatever_happens_sessions_are_the_rows_they_committed(cell, kind, device):
    """Every waiter is answered once, no slot leaks, sessions are what ONNX Runtime makes of their rows."""
    seen = Counter()
    run_state_machine_as_test(
        lambda: Sessions(kind, cell, device, seen),
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    missed = MUST_SEE - {name for name, count in seen.items() if count}
    assert not missed, f"no example met {sorted(missed)}"
