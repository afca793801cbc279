"""The state arena."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.manifest import StateSpec
from service.engine.arena import Arena

SPECS = (
    StateSpec(name="h", shape=(2, 3), dtype="float32"),
    StateSpec(name="scale", shape=(1,), dtype="float64", initial=1.5),
)


def test_a_fresh_slot_holds_the_initial_state():
    """What another session left behind is gone."""
    arena = Arena(SPECS)
    slot = arena.allocate()
    arena.scatter(np.array([slot]), {"h": np.ones((1, 2, 3)), "scale": np.array([[9.0]])})
    arena.release(slot)
    again = arena.allocate()
    states = arena.gather(np.array([again]))
    assert again == slot
    assert not states["h"].any()
    assert states["scale"] == 1.5


def test_growth_keeps_every_state():
    """States survive the arrays' growth."""
    arena = Arena(SPECS)
    slots = [arena.allocate() for _ in range(1000)]
    for number, slot in enumerate(slots):
        state = {"h": np.full((1, 2, 3), number), "scale": np.array([[float(number)]])}
        arena.scatter(np.array([slot]), state)
    assert list(arena.gather(np.array(slots))["scale"][:, 0]) == list(range(1000))
    arena.check_integrity()


def test_what_is_gathered_is_a_copy():
    """A caller that writes into a gathered state changes no session."""
    arena = Arena(SPECS)
    slots = np.array([arena.allocate()])
    arena.gather(slots)["h"][:] = 7
    assert not arena.gather(slots)["h"].any()


def test_a_slot_is_released_once():
    """Releasing a free slot is an error, not a slot that two sessions share later."""
    arena = Arena(SPECS)
    slot = arena.allocate()
    arena.release(slot)
    with pytest.raises(KeyError):
        arena.release(slot)


def test_the_integrity_check_sees_a_lost_slot():
    """Bookkeeping that does not add up is reported with its numbers."""
    arena = Arena(SPECS)
    arena._free.pop()
    with pytest.raises(AssertionError, match="63 free"):
        arena.check_integrity()


@given(st.lists(st.booleans(), max_size=300))
def test_any_order_of_allocation_and_release_adds_up(moves):
    """Slots in use are distinct and none is lost."""
    arena, live = Arena(SPECS), []
    for take in moves:
        if take:
            live.append(arena.allocate())
        elif live:
            arena.release(live.pop(0))
    assert len(set(live)) == len(live) == len(arena)
    arena.check_integrity()
