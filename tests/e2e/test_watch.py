"""Watching sessions on a real server, with both clients."""

import asyncio

import pytest

import statecast
from tests.both_clients import Awaiting, Blocking, entered, now
from tests.server_process import serving

ARRIVAL_S = 30


@pytest.fixture(params=[Blocking, Awaiting], ids=["blocking", "awaiting"])
def kind(request):
    return request.param


async def _next(watch):
    """The next event, None where there is no more."""
    if hasattr(watch, "__anext__"):
        return await asyncio.wait_for(anext(watch, None), ARRIVAL_S)
    return await asyncio.wait_for(asyncio.to_thread(next, watch, None), ARRIVAL_S)


async def test_a_watch_tells_what_happens_from_now_on(kind, repository):
    """Evicted, reset, deleted and expired sessions, in order; rows and copies are no events."""
    with serving(repository, "--max-resident-sessions", "2") as server:
        async with entered(kind.client(server.address)) as client:
            sessions = client.sessions("gru")
            await now(client.session("gru", "w-before").observe(1.0))
            async with entered(await now(sessions.watch("w-"))) as watch:
                await now(client.session("gru", "w-a").observe([1.0, 2.0]))
                await now(client.session("gru", "other").observe(1.0))
                evicted = await _next(watch)
                assert (evicted.kind, evicted.session.session_id) == ("evicted", "w-before")
                await now(client.session("gru", "w-a").observe(1.0))
                await now(sessions.reset("w-a"))
                reset = await _next(watch)
                assert (reset.kind, reset.session.session_id) == ("reset", "w-a")
                assert reset.session.position == 0
                await now(client.session("gru", "w-a").observe([1.0, 2.0, 3.0]))
                await now(sessions.delete("w-a"))
                deleted = await _next(watch)
                assert (deleted.kind, deleted.session.session_id) == ("deleted", "w-a")
                assert (deleted.session.position, deleted.num_missed) == (3, 0)


async def test_a_watch_tells_of_sessions_whose_time_is_over(kind, repository):
    """A later row of any session finds them."""
    with serving(repository, "--session-ttl-s", "0.05") as server:
        async with entered(kind.client(server.address)) as client:
            async with entered(await now(client.sessions("gru").watch())) as watch:
                await now(client.session("gru", "a").observe([1.0, 2.0]))
                telling = asyncio.create_task(_next(watch))
                while not telling.done():
                    await now(client.session("gru", "b").observe(1.0))
                    await asyncio.wait([telling], timeout=0.1)
                expired = await telling
            assert expired.kind == "expired"
            assert expired.session.model == "gru"


async def test_a_watch_ends_when_it_is_closed(kind, repository):
    """Whoever waits for an event is told that there is no more."""
    with serving(repository) as server:
        async with entered(kind.client(server.address)) as client:
            watch = await now(client.sessions("gru").watch())
            waiting = asyncio.create_task(_next(watch))
            watch.close()
            assert await waiting is None
            assert (await now(client.models()))[0].name == "gru"


async def test_a_watch_ends_when_the_server_drains(kind, repository):
    """With UNAVAILABLE, at once, and the server ends in time."""
    with serving(repository) as server:
        async with entered(kind.client(server.address)) as client:
            watch = await now(client.sessions("gru").watch())
            waiting = asyncio.create_task(_next(watch))
            assert server.stop() == 0
            with pytest.raises(statecast.Unavailable, match="draining"):
                await waiting


async def test_a_watch_that_is_refused_says_so_at_once(kind, repository):
    """No model of that name, a prefix that no id can have, no server."""
    with serving(repository) as server:
        async with entered(kind.client(server.address, retry_budget_s=0)) as client:
            with pytest.raises(statecast.NotFound, match="is not served"):
                await now(client.sessions("absent").watch())
            with pytest.raises(statecast.InvalidRequest, match="prefix: expected at most 256 bytes"):
                await now(client.sessions("gru").watch("x" * 257))
            server.stop()
            with pytest.raises(statecast.Unavailable):
                await now(client.sessions("gru").watch())
