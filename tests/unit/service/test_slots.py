"""Slots and the state arena."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.manifest import StateSpec
from service.engine.arena import Arena
from service.store.slots import SlotAllocator

SPECS = (
    StateSpec(name="h", shape=(2, 3), dtype="float32"),
    StateSpec(name="scale", shape=(1,), dtype="float64", initial=1.5),
)


def test_a_reset_slot_holds_the_initial_state():
    """What another session left behind is gone, and its neighbours keep theirs."""
    arena = Arena(SPECS, 10)
    arena.scatter(np.array([3, 4]), {"h": np.ones((2, 2, 3)), "scale": np.full((2, 1), 9.0)})
    arena.reset(np.array([3]))
    states = arena.gather(np.array([3, 4]))
    assert not states["h"][0].any()
    assert states["h"][1].all()
    assert states["scale"].tolist() == [[1.5], [9.0]]


def test_what_is_gathered_is_a_copy():
    """A caller that writes into a gathered state changes no session."""
    arena = Arena(SPECS, 10)
    arena.gather(np.array([0]))["h"][:] = 7
    assert not arena.gather(np.array([0]))["h"].any()


def test_an_arena_for_a_million_sessions_costs_nothing_until_they_come():
    """Memory is taken by the page, when a session's state is first written."""
    resident_kib = _resident_kib()
    arena = Arena((StateSpec(name="h", shape=(64,), dtype="float32"),), 1_000_000)
    arena.scatter(np.array([999_999]), {"h": np.ones((1, 64))})
    assert _resident_kib() - resident_kib < 32 * 1024


def _resident_kib():
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def test_a_slot_is_given_back_once():
    """Giving back a free slot is an error, not a slot that two sessions share later."""
    slots = SlotAllocator(4)
    slot = slots.allocate()
    slots.release(slot)
    with pytest.raises(KeyError):
        slots.release(slot)


def test_no_slot_is_given_out_beyond_the_capacity():
    """All in use is an error; one given back can be had again."""
    slots = SlotAllocator(2)
    slots.allocate()
    last = slots.allocate()
    assert slots.is_full
    with pytest.raises(IndexError, match="all 2 slots"):
        slots.allocate()
    slots.release(last)
    assert slots.allocate() == last


def test_the_integrity_check_sees_a_lost_slot():
    """Bookkeeping that does not add up is reported with its numbers."""
    slots = SlotAllocator(4)
    slots.allocate()
    slots.release(slots.allocate())
    slots._given_back.clear()
    with pytest.raises(AssertionError, match=r"1 in use \+ 0 given back != 2"):
        slots.check_integrity()


@given(st.lists(st.booleans(), max_size=300))
def test_any_order_of_giving_out_and_back_adds_up(moves):
    """Slots in use are distinct and none is lost."""
    slots, live = SlotAllocator(200), []
    for take in moves:
        if take and not slots.is_full:
            live.append(slots.allocate())
        elif live:
            slots.release(live.pop(0))
    assert sorted(live) == slots.in_use().tolist()
    assert len(live) == len(slots)
    slots.check_integrity()
