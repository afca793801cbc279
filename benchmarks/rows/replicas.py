"""Two replicas behind Envoy, on one store: what a second costs of what it brings.

Rows per second of processor time, because more replicas than a machine has cores do not answer more rows
there. Two replicas have twice the callers of one, as they do where a second is started because one is full.
They share the core that the one has to itself, but for the last row, where the second has the load's.
"""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks.bench import Bench
from benchmarks.envoy import Proxy, envoy
from benchmarks.lanes import Lanes
from benchmarks.load import Result, WrongReply, closed_loop
from benchmarks.measure import Outcome, Pairs, Target
from benchmarks.processes import Process, Valkey, cpu_s, valkey
from benchmarks.traffic import STREAM_PATH, UNARY_PATH, SmallFrames, UnaryRows

_ONE, _UNIT = "one behind Envoy", "rows/CPU-s"
STREAMS = Target("replicas", "two replicas behind Envoy, streams of 64 sessions", _ONE, _UNIT, 0.90)
UNARY = Target("replicas-unary", "two replicas behind Envoy, one row a call", _ONE, _UNIT, 0.90)
APART = Target("replicas-apart", "two replicas on two cores, one row a call", _ONE, _UNIT, 0.90)
TARGETS = (STREAMS, UNARY, APART)
# Of the processor time, for each of two.
_LEAST_SHARE = 0.05
_FRAME, _STREAMS_EACH, _CALLS_EACH = 64, 16, 32


@dataclass
class _Side:
    """Replicas with what stands before and behind them; `parts` is what each used in the measured time."""

    servers: Sequence[Process]
    proxy: Proxy | None
    store: Valkey
    used: dict[str, float] = field(default_factory=dict)
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return self.servers[0].address if self.proxy is None else self.proxy.address

    def cpu_s(self) -> float:
        """See `Serving.cpu_s`."""
        before = self.used
        self.used = {f"server_{number}": server.cpu_s() for number, server in enumerate(self.servers, 1)}
        self.used["valkey"] = cpu_s(self.store.pid)
        if self.proxy is not None:
            self.used["envoy"] = cpu_s(self.proxy.pid)
        self.parts = {name: now_s - before.get(name, 0.0) for name, now_s in self.used.items()}
        return sum(self.used.values())

    def shares(self) -> dict[str, float]:
        """Of the processor time of what was measured last.

        Raises:
            WrongReply: one of the servers had next to nothing to do.
        """
        whole = sum(self.parts.values())
        found = {name: used_s / whole for name, used_s in self.parts.items()}
        if min(share for name, share in found.items() if name.startswith("server")) < _LEAST_SHARE:
            raise WrongReply(f"the load was not spread over the replicas: {found}")
        return found


def run(bench: Bench) -> Iterator[Outcome]:
    """One server by itself, behind Envoy, and with a second behind another Envoy; in turn."""
    with ExitStack() as stack:
        store = stack.enter_context(valkey(None))
        flags = ("--store", store.url)
        servers = [stack.enter_context(bench.server(*flags)) for _ in range(2)]
        sides = {
            "direct": _Side(servers[:1], None, store),
            "one": _behind_envoy(stack, servers[:1], store),
            "two": _behind_envoy(stack, servers, store),
        }
        for target in (STREAMS, UNARY):
            if bench.wants(target):
                yield _compare(bench, target, sides)
        if bench.wants(APART):
            apart = [servers[0], stack.enter_context(bench.server(*flags, beside_load=True))]
            yield _compare(bench, APART, {**sides, "two": _behind_envoy(stack, apart, store)})


def _behind_envoy(stack: ExitStack, servers: Sequence[Process], store: Valkey) -> _Side:
    proxy = stack.enter_context(envoy([server.address for server in servers], None))
    return _Side(servers, proxy, store)


def _compare(bench: Bench, target: Target, sides: dict[str, _Side]) -> Outcome:
    found: dict[str, list[float]] = {name: [] for name in sides}
    notes: dict[str, float] = {}
    for repeat in range(bench.sizes.repeats):
        for name in sorted(sides, reverse=repeat % 2 == 1):
            side = sides[name]
            result = _measured(bench, target, side)
            found[name].append(result.per_s / result.server_busy)
            notes[f"{name}_rows_per_s"] = result.per_s
            notes |= {f"{name}_{part}": share for part, share in side.shares().items()}
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
