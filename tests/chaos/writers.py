"""Clients that send known rows for ever, resend after every failure, and remember what they were told."""

import asyncio
from collections import defaultdict

import numpy as np

from statecast import AsyncClient
from statecast.errors import StatecastError
from tests.reference import assert_close, reference_forecasts

# A server that comes back takes seconds here; a client that gives up sooner would be the test's fault.
PATIENT = {"retry_budget_s": 90.0, "attempt_timeout_s": 5.0}
_MAX_ROWS = 3


def row(session, position):
    """The row at a position of a session: two features, different for each."""
    phase = session * 0.7 + position * 0.31
    return 20.0 + 5.0 * np.sin(phase) + session, 3.0 * np.cos(1.7 * phase)


class Writer:
    """One stream with sessions of its own."""

    def __init__(self, address, model, name, num_sessions):
        self._address, self._model = address, model
        self.ids = [f"{name}-{number}" for number in range(num_sessions)]
        self.acknowledged = np.zeros(num_sessions, int)
        self._random = np.random.default_rng(abs(hash(name)) % 2**32)
        # By session: position and the forecast made there.
        self._told = defaultdict(dict)
        self.num_frames = 0

    async def run(self, acknowledged, stop):
        """Send frames until `stop` is set; calls `acknowledged()` after each answer."""
        async with (
            AsyncClient(self._address, **PATIENT) as client,
            client.stream(self._model) as stream,
        ):
            while not stop.is_set():
                await self._send(stream)
                acknowledged()

    async def _send(self, stream):
        count = int(self._random.integers(1, len(self.ids) + 1))
        some = np.sort(self._random.permutation(len(self.ids))[:count])
        lengths = self._random.integers(1, _MAX_ROWS + 1, count)
        values = [
            row(session, position)
            for session, length in zip(some.tolist(), lengths.tolist(), strict=True)
            for position in range(self.acknowledged[session], self.acknowledged[session] + length)
        ]
        result = await stream.send([self.ids[session] for session in some], np.array(values), lengths=lengths)
        for session, length, entry in zip(some.tolist(), lengths.tolist(), result, strict=True):
            if isinstance(entry, StatecastError):
                raise entry
            self.acknowledged[session] += length
            assert entry.position == self.acknowledged[session], (self.ids[session], entry)
            if entry.forecasts:
                self._told[session][entry.position] = entry.forecasts[-1].values
        self.num_frames += 1

    async def check(self, address, content, manifest, num_compared=4):
        """No row lost, none doubled: positions are what was acknowledged, forecasts those of a run that was
        never interrupted."""
        async with AsyncClient(address, **PATIENT) as client:
            for session, name in enumerate(self.ids):
                if not self.acknowledged[session]:
                    continue
                found = await client.session(self._model, name).refresh()
                assert found == self.acknowledged[session], name
        for session in range(min(num_compared, len(self.ids))):
            self._compare(session, content, manifest)

    def _compare(self, session, content, manifest):
        rows = np.array([row(session, position) for position in range(self.acknowledged[session])])
        if not len(rows):
            return
        expected = reference_forecasts(content, manifest, rows)
        for position, found in self._told[session].items():
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
