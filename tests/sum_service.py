"""Models that add up their rows, served in this process: workers, streams and unary calls without gRPC."""

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import numpy as np

from models.frequency import Frequency
from models.manifest import FeatureSpec, Manifest, StateSpec, TrainingSummary
from service.engine.arena import Arena
from service.engine.model import ServedModel
from service.engine.runner import Reply
from service.rpc import unary
from service.rpc.frames import FrameLimits
from service.rpc.single_rows import SingleRows
from service.rpc.stream import Stream
from service.security.caller import tenant
from service.sessions.catalog import Catalog
from service.sessions.frame import NO_POSITION, Frame
from service.sessions.limits import Limits
from service.sessions.plan import StepLimits
from service.sessions.worker import SessionWorker
from statecast.v1 import forecast_pb2 as pb
from tests.fakes import CountingRunner, HandClock

HOUR_US = 3_600_000_000
HORIZON, LEVELS = 2, (0.1, 0.5, 0.9)
VERSION = 7
TTL_S = 100.0
STATES = (StateSpec(name="total", shape=(1,), dtype="float64"),)
# What makes each step and level of a forecast another number than its neighbours.
SPREAD = np.arange(HORIZON * len(LEVELS), dtype=np.float32).reshape(HORIZON, len(LEVELS)) / 8
# More turns of the event loop than anything takes that waits for nothing but them.
_MANY_TURNS = 2000


def manifest(name="sum", num_features=1, quantile_levels=LEVELS):
    """Of a model whose forecasts are the sum of all values, and `SPREAD`; hourly."""
    day = datetime(2020, 1, 1, tzinfo=UTC)
    return Manifest(
        name=name,
        digest="sha256:" + "0" * 64,
        cell="sum",
        features=tuple(FeatureSpec(name=f"y{number}") for number in range(num_features)),
        frequency="h",
        season_length=24,
        horizon=HORIZON,
        quantile_levels=quantile_levels,
        states=STATES,
        opset=20,
        training=TrainingSummary(num_series=1, num_rows=1, num_missing=0, first_time=day, last_time=day),
        backtest={},
        parity_error=0.0,
    )


class SpreadRunner(CountingRunner):
    """A counting runner that tells when a step begins, and whose forecasts differ by step and level."""

    def __init__(self, arena):
        super().__init__(arena)
        self.before_step = lambda number: None

    def step(self, slots, rows, reply):
        """See `Runner.step`."""
        self.before_step(len(self.batches) + 1)
        forecasts = super().step(slots, rows, reply)
        return None if forecasts is None else forecasts + SPREAD

    def read_out(self, slots):
        """See `Runner.read_out`."""
        return super().read_out(slots) + SPREAD


class WatchedWorker(SessionWorker):
    """A worker that counts the rows it applied alone."""

    num_alone = 0

    def advance(self, *args):
        """See `SessionWorker.advance`."""
        advanced = super().advance(*args)
        self.num_alone += advanced is not None
        return advanced


class HandContext:
    """The part of a call that a stream writes to."""

    def __init__(self):
        self.written = []
        self._has_news = asyncio.Event()

    async def write(self, message):
        """Keep an answer."""
        self.written.append(message)
        self._has_news.set()

    async def has_written(self, num):
        """Wait for so many answers."""
        while len(self.written) < num:
            self._has_news.clear()
            await self._has_news.wait()


class HandRequests:
    """The messages of a stream that stays open, and whether whoever reads them is through with them."""

    def __init__(self):
        self._queue = asyncio.Queue()
        self._is_busy = False

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self._is_busy:
            self._queue.task_done()
        self._is_busy = True
        message = await self._queue.get()
        if message is None:
            raise StopAsyncIteration
        return message

    def send(self, message):
        """One more message, as bytes."""
        self._queue.put_nowait(message)

    def close(self):
        """There are no more."""
        self._queue.put_nowait(None)

    async def are_read(self):
        """Wait until the reader has come back for more than was sent."""
        await self._queue.join()

    @property
    def num_unread(self):
        """Messages that nobody has asked for."""
        return self._queue.qsize()


class OpenStream:
    """A stream whose messages are sent by hand."""

    def __init__(self, service, deadline_s):
        self._requests, self._context = HandRequests(), HandContext()
        self._stream = Stream(
            service.catalog, service.limits, service.rows, self._context, deadline_s, tenant()
        )
        self._reading = asyncio.create_task(self._stream.read(self._requests))

    def send(self, *requests):
        """Messages, or bytes as they are."""
        for request in requests:
            self._requests.send(request if isinstance(request, bytes) else request.SerializeToString())

    async def are_read(self):
        """Wait until what was sent is submitted."""
        await self._requests.are_read()

    async def answered(self, num):
        """The first so many answers, once they are there."""
        await self._context.has_written(num)
        return self.answers()[:num]

    @property
    def num_unread(self):
        """Messages that the stream has not asked for."""
        return self._requests.num_unread

    async def end(self):
        """Everything that was answered, once the stream has ended."""
        self._requests.close()
        await self._reading
        return self.answers()

    def answers(self):
        """Everything that was answered by now."""
        return [pb.StreamForecastsResponse.FromString(message) for message in self.raw()]

    def raw(self):
        """The same as bytes."""
        return self._context.written

    def stop_reading(self):
        """The server is going away."""
        self._stream.stop_reading()

    async def drop(self):
        """The caller is gone."""
        self._reading.cancel()
        await asyncio.wait([self._reading])
        self._stream.drop()


class SumService:
    """Workers by model name, with their parts at hand.

    No batch but a lone row runs on the event loop's thread, so that each can be held, unless
    `max_inline_rows` says otherwise.
    """

    def __init__(self, executor, names, *, num_features=1, max_sessions=100, **limits):
        self.clock = HandClock()
        self.limits = FrameLimits(max_rows_per_chunk=5_000, max_message_bytes=65_536)
        self.runners, self.workers = {}, {}
        bounds = {"max_batch_size": 100, "max_queued_rows": 10_000, "max_inline_rows": 0, **limits}
        self._max_inline_rows = bounds["max_inline_rows"]
        self.held = []
        for name in names:
            runner = self.runners[name] = SpreadRunner(Arena(STATES, max_sessions))
            served = manifest(name, num_features)
            model = ServedModel(name, VERSION, served, Frequency.parse("h"), max_sessions, runner)
            allowed = Limits(
                session_ttl_s=TTL_S, max_sessions=max_sessions, steps=StepLimits(5, 5_005), **bounds
            )
            self.workers[name] = WatchedWorker(model, allowed, self.clock, executor)
        self.catalog = Catalog(self.workers)
        self.rows = {name: SingleRows(made) for name, made in self.workers.items()}

    @property
    def worker(self):
        """The first model's."""
        return next(iter(self.workers.values()))

    @property
    def runner(self):
        """The first model's."""
        return next(iter(self.runners.values()))

    def stream(self, deadline_s=math.inf):
        """Open a stream."""
        return OpenStream(self, deadline_s)

    def call(self, request, deadline_s=math.inf):
        """Begin a unary call; a task."""
        worker, rows = self.workers[request.model], self.rows[request.model]
        return asyncio.ensure_future(unary.forecast(request, worker, rows, self.limits, deadline_s, tenant()))

    def standing(self, session_id, name=None):
        """A session as it stands, or None for none; of the first model where no name is given."""
        worker = self.workers[name] if name else self.worker
        slot = worker.table.find_or_none(session_id)
        return None if slot is None else worker.residency.placement.info(slot)

    async def hold(self, name="sum"):
        """Hold a model's runner inside a run, so that what follows waits. Nothing may wait already."""
        runner, worker = self.runners[name], self.workers[name]
        runner.gate.clear()
        runner.entered.clear()
        num_rows, num_features = self._max_inline_rows + 1, len(worker.model.manifest.features)
        slots, lengths = np.array([worker.table.resolve("held")]), np.array([num_rows])
        values = np.ones((num_rows, num_features))
        held = asyncio.get_running_loop().create_future()
        self.held.append(held)
        worker.submit(
            Frame(slots, lengths, np.array([NO_POSITION]), None, values, Reply.LAST, held.set_result)
        )
        await asyncio.to_thread(runner.entered.wait)

    def release(self, name="sum"):
        """Let the runner go on."""
        self.runners[name].gate.set()

    def check(self):
        """Every table's bookkeeping is whole."""
        for worker in self.workers.values():
            worker.table.check_integrity()

    def check_idle(self):
        """And nothing is held for rows that are answered."""
        self.check()
        for worker in self.workers.values():
            assert not worker.table.num_waiting.any()


@asynccontextmanager
async def sum_service(*names, **options):
    """A service over such models, one called `sum` where no names are given."""
    with ThreadPoolExecutor(max(len(names), 1)) as executor:
        service = SumService(executor, names or ("sum",), **options)
        tasks = [asyncio.create_task(worker.run()) for worker in service.workers.values()]
        try:
            yield service
            for name in service.runners:
                service.release(name)
            await asyncio.gather(*service.held)
            service.check_idle()
            assert not any(task.done() for task in tasks)
        finally:
            for runner in service.runners.values():
                runner.gate.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def turns():
    """Let everything go on that waits for nothing but the event loop's turns."""
    for _ in range(_MANY_TURNS):
        await asyncio.sleep(0)
