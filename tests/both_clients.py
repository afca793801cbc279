"""What lets one test run with the blocking and with the awaiting client."""

import asyncio
import inspect
from concurrent.futures import Future
from contextlib import asynccontextmanager

import statecast

ARRIVAL_S = 30.0


class Blocking:
    """The blocking client, as an awaiting test sees it: a call runs in a thread."""

    client = statecast.Client

    @staticmethod
    def start(function, *args, **options):
        return asyncio.create_task(asyncio.to_thread(function, *args, **options))


class Awaiting:
    """The awaiting client."""

    client = statecast.AsyncClient

    @staticmethod
    def start(function, *args, **options):
        return asyncio.create_task(function(*args, **options))


async def now(outcome):
    """What either client returns, or what its future brings."""
    if isinstance(outcome, Future):
        return await asyncio.wrap_future(outcome)
    return await outcome if inspect.isawaitable(outcome) else outcome


@asynccontextmanager
async def entered(context):
    """Either kind of context manager."""
    if hasattr(context, "__aenter__"):
        async with context as value:
            yield value
    else:
        with context as value:
            yield value


async def arrival(server):
    """One more call or frame has reached a `FakeServer`."""
    assert await asyncio.to_thread(server.arrived.acquire, timeout=ARRIVAL_S)
