"""What a watch tells, to readers who keep up and to those who do not."""

import asyncio

import pytest

from service.errors import Draining
from service.rpc.watcher import MAX_EVENTS, Watcher
from service.sessions.info import SessionEvent, SessionInfo
from statecast.v1 import session_pb2 as pb


def _info(session_id):
    return SessionInfo(session_id, 2, "sha256:aa", 7, None, 1.5, in_memory=True)


def _tell(watcher, *ids):
    for session_id in ids:
        watcher.tell(SessionEvent.DELETED, _info(session_id))


@pytest.mark.parametrize("event", SessionEvent)
async def test_every_event_has_its_name_on_the_wire(event):
    """The domain's numbers are the proto's, and the session stands in the message as it stood."""
    watcher = Watcher("m", "")
    watcher.tell(event, _info("a"))
    told = await watcher.next()
    assert pb.SessionEvent.Name(told.event) == f"SESSION_EVENT_{event.name}"
    expected = pb.Session(model="m", session_id="a", model_version=2, model_digest="sha256:aa", position=7)
    expected.place, expected.used_at_us = pb.SESSION_PLACE_MEMORY, 1_500_000
    assert told.session == expected


async def test_only_ids_that_begin_so_are_told():
    """Those of others are not counted as missed either."""
    watcher = Watcher("m", "a")
    _tell(watcher, "b", "a1", "ba", "a2")
    told = [await watcher.next(), await watcher.next()]
    assert [(each.session.session_id, each.num_missed) for each in told] == [("a1", 0), ("a2", 0)]


async def test_a_slow_reader_misses_the_oldest_and_is_told_how_many():
    """The count stands before the first event that came through, and once."""
    watcher = Watcher("m", "")
    _tell(watcher, *(str(number) for number in range(MAX_EVENTS + 3)))
    first, second = await watcher.next(), await watcher.next()
    assert (first.session.session_id, first.num_missed) == ("3", 3)
    assert (second.session.session_id, second.num_missed) == ("4", 0)
    _tell(watcher, *"abc")
    assert (await watcher.next()).num_missed == 1


async def test_a_reader_waits_for_news():
    """What comes while it waits is told at once."""
    watcher = Watcher("m", "")
    waiting = asyncio.create_task(watcher.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    _tell(watcher, "a")
    assert (await waiting).session.session_id == "a"


async def test_the_end_comes_after_what_waits():
    """Nothing that was seen before is lost; a reader that waits is told at once."""
    watcher = Watcher("m", "")
    _tell(watcher, "a")
    watcher.end()
    assert (await watcher.next()).session.session_id == "a"
    with pytest.raises(Draining):
        await watcher.next()
    idle = Watcher("m", "")
    waiting = asyncio.create_task(idle.next())
    await asyncio.sleep(0)
    idle.end()
    with pytest.raises(Draining):
        await waiting
