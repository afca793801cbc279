"""Handles: the sessions that one stream calls by number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rpc.handles import MAX_HANDLE, Handles
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


@given(
    steps=st.lists(
        st.tuples(st.one_of(st.integers(0, 40), st.integers(0, MAX_HANDLE - 1)), st.integers(0, 5)),
        max_size=60,
    ),
    num_before=st.sampled_from([0, 3, 300]),
)
def test_handles_are_a_dictionary_whatever_their_numbers(steps, num_before):
    """Each leads to the session it was last given to, one by one and in columns; others are unknown."""
    table = SessionTable("m", capacity=100, ttl_s=1e9, clock=HandClock())
    handles, expected = Handles(), {}
    for handle in range(MAX_HANDLE // 2, MAX_HANDLE // 2 + num_before):
        handles.name(handle, "before")
        expected[handle] = "before"
    for handle, number in steps:
        if number == 5 and handle in expected:
            handles.forget(handle)
            del expected[handle]
        else:
            handles.name(handle, f"s{number}")
            expected[handle] = f"s{number}"
        asked = [*expected, *(other for other, _ in steps), 7, MAX_HANDLE - 1]
        errors = {}
        slots = handles.resolve(np.array(asked, np.uint32), table, errors)
        found = {each: table.session_id(slots[i]) for i, each in enumerate(asked) if i not in errors}
        assert found == expected
        assert {each for i, each in enumerate(asked) if i in errors}.isdisjoint(expected)
        table.hold_all(slots[[entry for entry in range(len(asked)) if entry not in errors]])
        for each in asked[:3]:
            if each in expected:
                assert table.session_id(handles.resolve_one(each, table)) == expected[each]


@pytest.mark.parametrize("step", [1, -1, 3, 100, 4099])
def test_what_a_stream_holds_goes_by_how_many_handles_it_names(step):
    """Not by their numbers: the largest alone once took three hundred megabytes."""
    handles = Handles()
    handles.name(MAX_HANDLE - 1, "largest")
    assert handles.__sizeof__() < 10_000
    handles, num = Handles(), 4000
    for number in range(num):
        handles.name(number * step % MAX_HANDLE, "s")
        assert handles.__sizeof__() < 300 * (number + 100)
