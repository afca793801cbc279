"""What every row needs: the model, the cores, the servers, the sizes."""

import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.bare import Bare
from benchmarks.lanes import Lanes
from benchmarks.load import CutOff, Traffic
from benchmarks.measure import Target
from benchmarks.processes import Cores, Process, echo_command, running, server_command
from benchmarks.traffic import decode, frame, naming, values_of
from statecast.v1 import forecast_pb2 as pb

FRAME = 256
_OPEN_AT_ONCE = 10_240
_PATIENCE_S = 20.0


@dataclass(frozen=True)
class Sizes:
    """How much is measured. Numbers of sessions are multiples of a frame."""

    repeats: int = 5
    seconds: float = 0.8
    few_sessions: int = 4 * FRAME
    many_sessions: int = 391 * FRAME
    most_sessions: int = 3907 * FRAME
    history_rows: int = 1_000
    long_history_rows: int = 10_000
    overload_s: float = 20.0
    overload_streams: int = 512
    durable_sessions: int = 80 * FRAME
    journal_rows: int = 1_000_000

    @classmethod
    def quick(cls) -> "Sizes":
        """Enough to see that everything works; the figures mean little."""
        return cls(2, 0.15, 4 * FRAME, 8 * FRAME, 40 * FRAME, 100, 1_000, 1.0, 64, 4 * FRAME, 8 * FRAME)


@dataclass
class Bench:
    """One run of the benchmark; `curves` and `facts` gather what the picture and the report show."""

    code: Path
    repository: Path
    bare: Bare
    cores: Cores
    sizes: Sizes
    server_flags: tuple[str, ...] = ()
    only: frozenset[str] = frozenset()
    curves: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    _prefixes: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def server(self, *flags: str, beside_load: bool = False) -> Iterator[Process]:
        """The server under test, on its core, or on the load's."""
        command = server_command(self.repository, *flags, *self.server_flags)
        core = self.cores.load if beside_load else self.cores.server
        with running(command, core, self.code) as process:
            self.facts["event loop"] = "uvloop" if process.uses_uvloop() else "asyncio"
            yield process

    @contextmanager
    def echo(self, server: Process) -> Iterator[Process]:
        """The echo, on the same core and the same kind of event loop."""
        with running(echo_command(uvloop=server.uses_uvloop()), self.cores.server, self.code) as process:
            yield process

    def draw_throughput(self, num_sessions: int, per_s: Sequence[float]) -> None:
        """A point of the picture: throughput against resident sessions."""
        point = {"sessions": float(num_sessions), "per_s": statistics.median(per_s)}
        self.curves.setdefault("throughput", []).append(point)

    def wants(self, target: Target) -> bool:
        """Whether a row is to be measured."""
        return not self.only or target.name in self.only

    def prefix(self) -> str:
        """Session ids that no other measurement uses begin with it."""
        return f"s{next(self._prefixes)}-"


def open_sessions(lanes: Lanes, num_sessions: int, within_s: float) -> None:
    """Name sessions 0, 1, ... on lane 0 and advance each by its first row.

    Raises:
        CutOff: it takes longer than `within_s`.
    """
    end = time.perf_counter() + within_s
    sessions = np.arange(num_sessions)
    for message in naming("n", sessions):
        lanes.send(0, message)
    for start in range(0, num_sessions, _OPEN_AT_ONCE):
        some = sessions[start : start + _OPEN_AT_ONCE]
        decode(exchange(lanes, 0, frame(some, values_of(some, 0), pb.REPLY_NONE, position=0)))
        if time.perf_counter() > end:
            raise CutOff(f"{start + len(some):,} of {num_sessions:,} sessions opened in {within_s:.0f} s")


def first_reply(lanes: Lanes, traffic: Traffic) -> bytes:
    """Send lane 0's next message alone and return its reply, checked."""
    number = lanes.sent[0]
    lanes.sent[0] += 1
    reply = exchange(lanes, 0, traffic.message(0, number))
    traffic.check(0, number, reply)
    return reply


def exchange(lanes: Lanes, lane: int, message: bytes) -> bytes:
    """Send one message and wait for its reply; nothing else may be in flight.

    Raises:
        CutOff: it stays away.
    """
    lanes.send(lane, message)
    lanes.flush()
    end = time.perf_counter() + _PATIENCE_S
    while time.perf_counter() < end:
        replies = lanes.poll(1.0)
        lanes.flush()
        if replies:
            return replies[0][1]
    raise CutOff(f"no reply for {_PATIENCE_S:.0f} s")
