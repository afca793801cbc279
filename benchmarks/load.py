"""Load: loops that drive lanes, closed (a reply calls for the next message) or open (by the clock)."""

import gc
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from benchmarks.lanes import Lanes

# One reply in so many is kept, to be decoded and compared after the clock has stopped.
_SAMPLE_EVERY = 61
_NUM_SAMPLES = 6
_PATIENCE_S = 20.0


class CutOff(RuntimeError):
    """The server did not finish within the time a row may take."""


class WrongReply(RuntimeError):
    """A reply that is not what a right one must be."""


class Traffic(Protocol):
    """What lanes carry. A right reply has at least `reply_bytes`; an entry is one session's part."""

    reply_bytes: int
    entries_per_message: int

    def message(self, lane: int, number: int) -> bytes:
        """Message `number` (0, 1, ...) of a lane."""
        ...

    def check(self, lane: int, number: int, reply: bytes) -> None:
        """Raise `WrongReply` where the reply to that message is not right."""
        ...

    def num_refused(self, reply: bytes) -> int:
        """Entries refused because the server has too much to do; `WrongReply` for any other reason."""
        ...


class Serving(Protocol):
    """What answers: a server, or several with what stands before and behind them."""

    def cpu_s(self) -> float:
        """Processor time that it has used."""
        ...


@dataclass(frozen=True)
class Result:
    """What a loop saw in its measured time.

    Attributes:
        per_s: entries answered with a right reply, a second.
        latencies_s: of right replies, from when each was sent or, in an open loop, was due.
        refused_s: of replies that refuse, likewise.
        refused_per_s: entries refused, a second.
        server_busy: the server's processor time as a part of the measured time; one core is 1.
        load_busy: the same of this process. Near 1 in a closed loop, the load was the limit.
        num_unsent: in an open loop, messages that were due but found no lane free.
    """

    per_s: float
    latencies_s: npt.NDArray[np.float64]
    refused_s: npt.NDArray[np.float64]
    refused_per_s: float
    server_busy: float
    load_busy: float
    num_unsent: int = 0

    def percentile_us(self, percent: float) -> float:
        """Of the latencies, in microseconds."""
        return float(np.percentile(self.latencies_s, percent)) * 1e6


class _Busy:
    """Processor time of the server and of this process since it was made."""

    def __init__(self, server: Serving | None) -> None:
        self._server = server
        self._began_s = time.perf_counter()
        self._before = self._used()

    def parts(self) -> tuple[float, float]:
        """Of the server and of this process, as parts of the time since."""
        now, elapsed_s = self._used(), time.perf_counter() - self._began_s
        return (now[0] - self._before[0]) / elapsed_s, (now[1] - self._before[1]) / elapsed_s

    def _used(self) -> tuple[float, float]:
        return (self._server.cpu_s() if self._server else 0.0), time.process_time()


class _Ledger:
    """What was sent and what came, in order for each lane."""

    def __init__(self, lanes: Lanes, traffic: Traffic, *, may_refuse: bool = False) -> None:
        self._lanes = lanes
        self._traffic = traffic
        self._may_refuse = may_refuse
        self._pending: list[deque[float]] = [deque() for _ in range(lanes.num_lanes)]
        self._answered = list(lanes.sent)
        # The latest, which have the longest histories behind them.
        self._samples: deque[tuple[int, int, bytes]] = deque(maxlen=_NUM_SAMPLES)
        self.in_flight = 0
        self.came_s = time.perf_counter()
        self.restart()

    def restart(self) -> None:
        """Forget what came so far: it was the warm-up."""
        self._latencies: list[float] = []
        self._refused: list[float] = []
        self._num_refused = 0
        self._num_come = 0

    def send(self, lane: int, at_s: float) -> None:
        """Queue the lane's next message; its latency counts from `at_s`."""
        number = self._lanes.sent[lane]
        self._lanes.send(lane, self._traffic.message(lane, number))
        self._lanes.sent[lane] = number + 1
        self._pending[lane].append(at_s)
        self.in_flight += 1

    def take(self, replies: list[tuple[int, bytes]], now_s: float) -> None:
        """Enter replies.

        Raises:
            WrongReply: one is too short and no refusal that was to be expected.
        """
        expected = self._traffic.reply_bytes
        for lane, reply in replies:
            latency_s = now_s - self._pending[lane].popleft()
            if len(reply) < expected:
                self._take_short(lane, reply, latency_s)
            else:
                self._latencies.append(latency_s)
                if len(self._latencies) % _SAMPLE_EVERY == 1:
                    self._samples.append((lane, self._answered[lane], reply))
            self._answered[lane] += 1
        self.in_flight -= len(replies)
        self._num_come += len(replies)

    def result(self, elapsed_s: float, busy: _Busy, num_unsent: int = 0) -> Result:
        """Of everything since `restart`."""
        entries = self._num_come * self._traffic.entries_per_message
        elapsed_s = max(elapsed_s, 1e-9)
        return Result(
            (entries - self._num_refused) / elapsed_s,
            np.array(self._latencies),
            np.array(self._refused),
            self._num_refused / elapsed_s,
            *busy.parts(),
            num_unsent,
        )

    def check_samples(self) -> None:
        """Decode the kept replies and compare them.

        Raises:
            WrongReply: one is not right.
        """
        for sample in self._samples:
            self._traffic.check(*sample)

    def _take_short(self, lane: int, reply: bytes, latency_s: float) -> None:
        if not self._may_refuse:
            self._traffic.check(lane, self._answered[lane], reply)
            raise WrongReply(f"a reply of {len(reply)} bytes, expected {self._traffic.reply_bytes}")
        self._num_refused += self._traffic.num_refused(reply)
        self._refused.append(latency_s)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Python's collector would stop the load for milliseconds at a time."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _turn(lanes: Lanes, ledger: _Ledger, *, send: bool) -> float:
    """Take what has come and, with `send`, answer each reply with the lane's next message."""
    replies = lanes.poll(_PATIENCE_S)
    now = time.perf_counter()
    if replies:
        ledger.came_s = now
    elif now > ledger.came_s + _PATIENCE_S:
        raise CutOff(f"no reply for {_PATIENCE_S:.0f} s")
    ledger.take(replies, now)
    if send:
        for lane, _ in replies:
            ledger.send(lane, now)
    lanes.flush()
    return now


def closed_loop(
    lanes: Lanes,
    traffic: Traffic,
    *,
    seconds: float,
    window: int = 1,
    warm_up_s: float = 0.1,
    may_refuse: bool = False,
    server: Serving | None = None,
) -> Result:
    """Keep `window` messages in flight on each lane.

    Every reply is received whole and its length checked; a sample is decoded and compared before
    this returns.

    Raises:
        CutOff: replies stay away.
        WrongReply: a reply is not right.
    """
    ledger = _Ledger(lanes, traffic, may_refuse=may_refuse)
    with _no_collector():
        now = begin = time.perf_counter()
        for _ in range(window):
            for lane in range(lanes.num_lanes):
                ledger.send(lane, now)
        lanes.flush()
        while now < begin + warm_up_s:
            now = _turn(lanes, ledger, send=True)
        ledger.restart()
        begin, busy = now, _Busy(server)
        while now < begin + seconds:
            now = _turn(lanes, ledger, send=True)
        result = ledger.result(now - begin, busy)
        while ledger.in_flight:
            _turn(lanes, ledger, send=False)
    ledger.check_samples()
    return result


def open_loop(
    lanes: Lanes,
    traffic: Traffic,
    *,
    per_s: float,
    seconds: float,
    spin: bool = True,
    may_refuse: bool = False,
    server: Serving | None = None,
) -> Result:
    """Send `per_s` messages a second by the clock, each on a lane with nothing in flight.

    Where no lane is free a message waits, and its latency counts from when it was due: a slow server
    cannot slow its own measurement down.

    Args:
        spin: never sleep between messages; needs a core of its own.
        may_refuse: count refusals instead of failing.

    Raises:
        CutOff: replies stay away after the last message.
        WrongReply: a reply is not right.
    """
    ledger = _Ledger(lanes, traffic, may_refuse=may_refuse)
    free = deque(range(lanes.num_lanes))
    total, num_sent = int(per_s * seconds), 0
    with _no_collector():
        begin, busy = time.perf_counter(), _Busy(server)
        now = begin
        while now < begin + seconds:
            num_due = min(total, int((now - begin) * per_s) + 1)
            while num_sent < num_due and free:
                ledger.send(free.popleft(), begin + num_sent / per_s)
                num_sent += 1
            lanes.flush()
            wait_s = 0.0 if spin else begin + num_sent / per_s - time.perf_counter()
            replies = lanes.poll(wait_s if free else 0.01)
            now = time.perf_counter()
            ledger.take(replies, now)
            free.extend(lane for lane, _ in replies)
        result = ledger.result(now - begin, busy, num_due - num_sent)
        while ledger.in_flight:
            _turn(lanes, ledger, send=False)
    ledger.check_samples()
    return result
