"""Two replicas behind Envoy, on one store: what a second costs of what it brings.

Rows per second of processor time, because more replicas than a machine has cores do not answer more rows
there. Two replicas have twice the callers of one, as they do where a second is started because one is full.
"""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.envoy import Proxy, envoy
from benchmarks.lanes import Lanes
from benchmarks.load import Result, closed_loop
from benchmarks.measure import Outcome, Pairs, Target
from benchmarks.processes import Process, Valkey, cpu_s, valkey
from benchmarks.traffic import STREAM_PATH, UNARY_PATH, SmallFrames, UnaryRows

_ONE, _UNIT = "one behind Envoy", "rows/CPU-s"
STREAMS = Target("replicas", "two replicas behind Envoy, streams of 64 sessions", _ONE, _UNIT, 0.90)
UNARY = Target("replicas-unary", "two replicas behind Envoy, one row a call", _ONE, _UNIT, 0.90)
TARGETS = (STREAMS, UNARY)
_FRAME, _STREAMS_EACH, _CALLS_EACH = 64, 16, 32


@dataclass
class _Side:
    """Replicas with what stands before and behind them; `parts` is what each used in the measured time."""

    servers: Sequence[Process]
    proxy: Proxy | None
    store: Valkey
    used: tuple[float, float, float] = (0.0, 0.0, 0.0)
    parts: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def address(self) -> str:
        return self.servers[0].address if self.proxy is None else self.proxy.address

    def cpu_s(self) -> float:
        """See `Serving.cpu_s`."""
        before = self.used
        proxy_s = 0.0 if self.proxy is None else cpu_s(self.proxy.pid)
        self.used = sum(server.cpu_s() for server in self.servers), proxy_s, cpu_s(self.store.pid)
        servers_s, proxy_s, store_s = (now - then for now, then in zip(self.used, before, strict=True))
        self.parts = servers_s, proxy_s, store_s
        return sum(self.used)


def run(bench: Bench) -> Iterator[Outcome]:
    """One server by itself, behind Envoy, and with a second behind another Envoy; in turn."""
    with ExitStack() as stack:
        store = stack.enter_context(valkey(None))
        flags = ("--store", store.url)
        servers = [stack.enter_context(bench.server(*flags)) for _ in range(2)]
        addresses = [server.address for server in servers]
        sides = {
            "direct": _Side(servers[:1], None, store),
            "one": _Side(servers[:1], stack.enter_context(envoy(addresses[:1], None)), store),
            "two": _Side(servers, stack.enter_context(envoy(addresses, None)), store),
        }
        for target in TARGETS:
            if bench.wants(target):
                yield _compare(bench, target, sides)


def _compare(bench: Bench, target: Target, sides: dict[str, _Side]) -> Outcome:
    found: dict[str, list[float]] = {name: [] for name in sides}
    notes: dict[str, float] = {}
    for repeat in range(bench.sizes.repeats):
        for name in sorted(sides, reverse=repeat % 2 == 1):
            side = sides[name]
            result = _measured(bench, target, side)
            found[name].append(result.per_s / result.server_busy)
            whole = sum(side.parts)
            notes[f"{name}_rows_per_s"] = result.per_s
            for part, used_s in zip(("servers", "envoy", "valkey"), side.parts, strict=True):
                notes[f"{name}_{part}"] = used_s / whole
    notes["direct_rows_per_cpu_s"] = statistics.median(found["direct"])
    return Outcome.of(target, Pairs(tuple(found["two"]), tuple(found["one"])), **notes)


def _measured(bench: Bench, target: Target, side: _Side) -> Result:
    prefix, bare, seconds = bench.prefix(), bench.bare, bench.sizes.seconds * 2
    if target is STREAMS:
        num_lanes = _STREAMS_EACH * len(side.servers)
        frames = SmallFrames(bare, prefix, num_lanes, _FRAME)
        with Lanes(side.address, STREAM_PATH, num_lanes) as lanes:
            for lane, opening in enumerate(frames.openings):
                lanes.send(lane, opening)
            return closed_loop(lanes, frames, seconds=seconds, warm_up_s=0.4, server=side)
    num_lanes = _CALLS_EACH * len(side.servers)
    rows = UnaryRows(bare, prefix, num_lanes)
    with Lanes(side.address, UNARY_PATH, num_lanes, unary=True, sessions=rows.session_ids) as lanes:
        return closed_loop(lanes, rows, seconds=seconds, warm_up_s=0.4, server=side)
