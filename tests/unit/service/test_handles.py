"""Handles: the sessions that one stream calls by number."""

import numpy as np
import pytest

from service.rpc.handles import Handles
from service.store.table import SessionTable
from tests.fakes import HandClock


class TickingClock(HandClock):
    """A clock that moves on each time somebody looks."""

    tick_s = 0.0

    def monotonic_s(self) -> float:
        """Now, and a tick more the next time."""
        self.now_s += self.tick_s
        return self.now_s


@pytest.mark.parametrize("is_cached", [True, False])
def test_a_session_that_a_frame_names_does_not_expire_within_the_frame(is_cached):
    """A newcomer in the same frame sweeps idle sessions; the named one keeps its slot to itself."""
    clock, errors = TickingClock(), {}
    table = SessionTable("m", capacity=10, ttl_s=100.0, clock=clock)
    old = table.resolve("old")
    table.hold(old)
    table.commit(np.array([old]), np.array([1]), None)
    table.settle_committed(np.array([old]))
    handles = Handles()
    handles.name(0, "old")
    handles.name(1, "new")
    if is_cached:
        assert handles.resolve(np.array([0], np.uint32), table, errors).tolist() == [old]
        table.commit(np.array([old]), np.array([1]), None)
    clock.now_s, clock.tick_s = 98.5, 1.0
    slots = handles.resolve(np.array([0, 1], np.uint32), table, errors)
    table.hold_all(slots)
    assert not errors
    assert slots[0] == old != slots[1]
    assert [table.session_id(slot) for slot in slots.tolist()] == ["old", "new"]
    table.check_integrity()
