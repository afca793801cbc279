"""Clients that send known rows for ever, resend after every failure, and remember what they were told."""

import asyncio
import time
import zlib
from collections import defaultdict
from contextlib import asynccontextmanager

import numpy as np

from statecast import AsyncClient
from statecast.errors import StatecastError
from tests.reference import assert_close, reference_forecasts

# A server that comes back takes seconds here; a client that gives up sooner would be the test's fault.
PATIENT = {"retry_budget_s": 90.0, "attempt_timeout_s": 5.0}
MAX_ROWS = 3


def row(session, position):
    """The row at a position of a session: two features, different for each."""
    phase = session * 0.7 + position * 0.31
    return 20.0 + 5.0 * np.sin(phase) + session % 100, 3.0 * np.cos(1.7 * phase)


def either(first, *others):
    """A target for clients: the first server while it lives, else another."""
    return "ipv4:" + ",".join((first, *others))


class Writer:
    """One stream with sessions of its own.

    Attributes:
        acknowledged: (N,) rows of each session that the server has answered.
        first_s: (N,) when a frame that was begun after `mark` was first answered, NaN before.
        told: of the first `num_compared` sessions, by position the forecast made there.
    """

    def __init__(self, address, model, name, num_sessions, num_compared=4):
        self.address, self._model = address, model
        self.ids = [f"{name}-{number}" for number in range(num_sessions)]
        self.acknowledged = np.zeros(num_sessions, int)
        self.first_s = np.zeros(num_sessions)
        self.told = defaultdict(dict)
        self.num_compared = min(num_compared, num_sessions)
        self._random = np.random.default_rng(zlib.crc32(name.encode()))
        # A frame without an answer: it is sent again, as it was, before any other.
        self._in_doubt = None
        self.num_frames = 0

    async def run(self, acknowledged, stop):
        """Send frames until `stop` is set; calls `acknowledged()` after each answer.

        The server is not asked where sessions stand: it is told, as by a client that kept count.
        """
        async with (
            AsyncClient(self.address, **PATIENT) as client,
            client.stream(self._model) as stream,
        ):
            handles = await stream.open(self.ids, self.acknowledged)
            while not stop.is_set():
                await self._send(stream, handles)
                acknowledged()

    def mark(self):
        """From now on, the next frame holds every session, and it is noted when each is answered."""
        self.first_s[:] = np.nan

    @property
    def is_back(self):
        """Whether every session was answered since `mark`."""
        return not np.isnan(self.first_s).any()

    def rows(self, session):
        """(T, F) what was acknowledged of a session."""
        return np.array([row(session, position) for position in range(self.acknowledged[session])])

    async def _send(self, stream, handles):
        is_marked = not self.is_back
        if self._in_doubt is None:
            self._in_doubt = self._frame()
        else:
            is_marked = False
        some, lengths = self._in_doubt
        values = [
            row(session, position)
            for session, length in zip(some.tolist(), lengths.tolist(), strict=True)
            for position in range(self.acknowledged[session], self.acknowledged[session] + length)
        ]
        result = await stream.send(handles[some], np.array(values), lengths=lengths)
        self._in_doubt = None
        for session, length, entry in zip(some.tolist(), lengths.tolist(), result, strict=True):
            if isinstance(entry, StatecastError):
                raise entry
            self.acknowledged[session] += length
            assert entry.position == self.acknowledged[session], (self.ids[session], entry)
            if entry.forecasts and session < self.num_compared:
                self.told[session][entry.position] = entry.forecasts[-1].values
        if is_marked:
            self.first_s[some] = time.perf_counter()
        self.num_frames += 1

    def _frame(self):
        count = len(self.ids) if not self.is_back else int(self._random.integers(1, len(self.ids) + 1))
        some = np.sort(self._random.permutation(len(self.ids))[:count])
        return some, self._random.integers(1, MAX_ROWS + 1, count)

    async def rewind(self, client):
        """Go back to where the server stands; returns how many rows that is, of all sessions."""
        self._in_doubt = None
        before = int(self.acknowledged.sum())
        for session, name in enumerate(self.ids):
            found = await client.session(self._model, name).refresh()
            assert found <= self.acknowledged[session], name
            self.acknowledged[session] = found
        return before - int(self.acknowledged.sum())

    async def check(self, address, content, manifest):
        """No row lost, none doubled: positions are what was acknowledged, forecasts those of a run that was
        never interrupted."""
        async with AsyncClient(address, **PATIENT) as client:
            for session, name in enumerate(self.ids):
                if not self.acknowledged[session]:
                    continue
                found = await client.session(self._model, name).refresh()
                assert found == self.acknowledged[session], name
        self.compare(content, manifest)

    def compare(self, content, manifest):
        """Every forecast that was told of the compared sessions is that of one run over all their rows."""
        for session in range(self.num_compared):
            if not self.told[session]:
                continue
            # After `rewind` more may have been told than is acknowledged now.
            rows = [row(session, position) for position in range(max(self.told[session]))]
            expected = reference_forecasts(content, manifest, np.array(rows))
            for position, found in self.told[session].items():
                assert_close(found, expected[position - 1])


class Acknowledgements:
    """Counts answers, and lets the test wait for a number of them."""

    def __init__(self):
        self.count = 0
        self._waiting = []

    def __call__(self):
        self.count += 1
        for wanted, future in list(self._waiting):
            if self.count >= wanted and not future.done():
                future.set_result(None)

    async def after(self, more, writing):
        """Return when so many more have come; a writer that ended instead is an error."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((self.count + more, future))
        await asyncio.wait({future, *writing}, return_when=asyncio.FIRST_COMPLETED)
        for task in writing:
            if task.done():
                task.result()
                raise AssertionError("a writer ended")
        self._waiting = [(wanted, each) for wanted, each in self._waiting if each is not future]


class Load:
    """Writers that write."""

    def __init__(self, writers):
        self._writers = writers
        self._acknowledged, self._stop = Acknowledgements(), asyncio.Event()
        self._tasks = [asyncio.create_task(writer.run(self._acknowledged, self._stop)) for writer in writers]

    async def answers(self, more):
        """Wait for so many more."""
        await self._acknowledged.after(more, self._tasks)

    async def all_back(self):
        """Wait until every session was answered since its writer's `mark`."""
        while not all(writer.is_back for writer in self._writers):
            await self.answers(1)

    async def finish(self):
        """Each writer's last frame is answered."""
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def cancel(self):
        """At once, answered or not."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)


@asynccontextmanager
async def loaded(writers):
    """Writers write throughout, and end with their last frames answered."""
    load = Load(writers)
    try:
        yield load
        await load.finish()
    finally:
        await load.cancel()


def num_rows(writers):
    """Rows acknowledged to all of them."""
    return sum(int(writer.acknowledged.sum()) for writer in writers)
