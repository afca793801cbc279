"""A stream of the open protocol: the order of its answers, and how much of it is read."""

import asyncio

import pytest

from service.errors import Draining
from service.rpc.oip.stream import InferStream


class Listener:
    """Where answers are written, as a call's context takes them."""

    def __init__(self):
        self.heard = []

    async def write(self, content):
        """One answer."""
        self.heard.append(content)


class Desk:
    """Answers each request when it is told to, or at once."""

    def __init__(self):
        self.begun, self.dropped, self.gates = [], [], {}

    async def answer(self, content):
        """Wait for the request's gate."""
        self.begun.append(content)
        try:
            await self.gates.setdefault(content, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.dropped.append(content)
            raise
        return b"answer to " + content

    def open(self, *contents):
        """Let these be answered."""
        for content in contents:
            self.gates.setdefault(content, asyncio.Event()).set()


async def requests(contents, taken=None):
    for content in contents:
        if taken is not None:
            taken.append(content)
        yield content


async def turns(num=50):
    """Let everything happen that can."""
    for _ in range(num):
        await asyncio.sleep(0)


async def test_answers_come_in_the_order_of_requests_whatever_is_ready_first():
    """The second waits for the first; both were under way together."""
    desk, listener = Desk(), Listener()
    running = asyncio.create_task(InferStream(desk.answer, listener).run(requests([b"1", b"2", b"3"])))
    desk.open(b"2", b"3")
    await turns()
    assert desk.begun == [b"1", b"2", b"3"]
    assert listener.heard == []
    desk.open(b"1")
    await running
    assert listener.heard == [b"answer to 1", b"answer to 2", b"answer to 3"]


@pytest.mark.parametrize(
    ("contents", "num_read"), [([b"%d" % n for n in range(3000)], 1024), ([bytes(2**20)] * 40, 16)]
)
async def test_no_more_is_read_than_may_be_under_way(contents, num_read):
    """So many requests, or so many bytes, and the sender waits; then the rest is read too."""
    desk, listener, taken = Desk(), Listener(), []
    running = asyncio.create_task(InferStream(desk.answer, listener).run(requests(contents, taken)))
    await turns(5000)
    assert len(taken) == num_read
    desk.open(*contents)
    await asyncio.wait_for(running, 30)
    assert len(listener.heard) == len(contents)


async def test_a_stream_that_is_cancelled_drops_what_has_not_been_answered():
    """Requests under way are cancelled with it."""
    desk = Desk()
    running = asyncio.create_task(InferStream(desk.answer, Listener()).run(requests([b"1", b"2"])))
    await turns()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await turns()
    assert desk.dropped == [b"1", b"2"]


async def test_a_drained_stream_answers_what_it_read_and_ends_so():
    """What comes later is not taken."""
    desk, listener = Desk(), Listener()

    async def endless():
        yield b"1"
        await asyncio.Event().wait()

    stream = InferStream(desk.answer, listener)
    running = asyncio.create_task(stream.run(endless()))
    await turns()
    stream.stop_reading()
    await turns()
    desk.open(b"1")
    with pytest.raises(Draining):
        await running
    assert listener.heard == [b"answer to 1"]
