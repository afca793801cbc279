"""Beside callers who mean harm: how long the others wait, and what it takes of memory."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.attacks import KINDS
from benchmarks.bench import Bench
from benchmarks.lanes import Lanes
from benchmarks.load import CutOff, open_loop
from benchmarks.measure import Outcome, Pairs, Target
from benchmarks.processes import ROOT, Process
from benchmarks.traffic import STREAM_PATH, SmallFrames

_WHAT = {
    "idle": "10,000 idle connections",
    "slow": "500 slow-loris calls",
    "malformed": "100 broken connections a second",
}
_WAITS = {
    kind: Target(f"hostile-{kind}", f"p99 beside {what}", "p99 without", "us", 2.0, at_most=True)
    for kind, what in _WHAT.items()
}
MEMORY = Target(
    "hostile-memory", "memory after the last wave of these", "after the first", "bytes", 1.10, at_most=True
)
TARGETS = (*_WAITS.values(), MEMORY)
_NUM_LANES, _FRAME, _PER_S = 16, 16, 200.0
_PATIENCE_S = 30.0


def run(bench: Bench) -> Iterator[Outcome]:
    """A moderate load by the clock, in turns without and beside each kind of attack."""
    with bench.server() as server:
        traffic = SmallFrames(bench.bare, bench.prefix(), _NUM_LANES, _FRAME)
        with Lanes(server.address, STREAM_PATH, _NUM_LANES) as lanes:
            for lane, opening in enumerate(traffic.openings):
                lanes.send(lane, opening)

            def p99_us() -> float:
                seconds = max(bench.sizes.seconds * 5, 0.5)
                found = open_loop(lanes, traffic, per_s=_PER_S, seconds=seconds, spin=False)
                return found.percentile_us(99)

            p99_us()
            wanted = [kind for kind, row in _WAITS.items() if bench.wants(row) or bench.wants(MEMORY)]
            waits: dict[str, list[tuple[float, float]]] = {kind: [] for kind in wanted}
            held: dict[str, dict[str, float]] = {}
            after_bytes = []
            for _ in range(bench.sizes.repeats):
                for kind in wanted:
                    num_files = server.num_files()
                    alone_us = p99_us()
                    with _attack(kind, server.address) as num:
                        waits[kind].append((p99_us(), alone_us))
                        held[kind] = {"connections": num, "memory_beside": server.memory_bytes()}
                    # The next turn is alone only once they are gone.
                    _wait_for_their_end(server, num_files)
                after_bytes.append(float(server.memory_bytes()))
        for kind in wanted:
            ours, theirs = zip(*waits[kind], strict=True)
            yield Outcome.of(_WAITS[kind], Pairs(ours, theirs), **held[kind])
        yield Outcome.of(MEMORY, Pairs((after_bytes[-1],), (after_bytes[0],)))


def _wait_for_their_end(server: Process, num_files: int) -> None:
    """Until the server has no more files open than before the attack."""
    end = time.monotonic() + _PATIENCE_S
    while server.num_files() > num_files:
        if time.monotonic() > end:
            raise CutOff(f"connections of the attack are still open after {_PATIENCE_S:.0f} s")
        # The kernel tells nobody when another process closes a file.
        time.sleep(0.05)


@contextmanager
def _attack(kind: str, address: str) -> Iterator[int]:
    """A process that attacks meanwhile; gives how many connections it holds."""
    assert kind in KINDS
    command = [sys.executable, "-m", "benchmarks.attacks", address, kind]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline().split()
            if said[:1] != ["ready"]:
                raise RuntimeError(f"the attack {kind} did not begin")
            yield int(said[1])
        finally:
            process.kill()
