"""Three times what the server can do: it goes on doing what it can, and says no to the rest."""

from collections.abc import Iterator

import numpy as np

from benchmarks.bench import FRAME, Bench
from benchmarks.lanes import Lanes
from benchmarks.load import closed_loop, open_loop
from benchmarks.measure import Outcome, Pairs, Target
from benchmarks.traffic import STREAM_PATH, SmallFrames

GOODPUT = Target("overload", "goodput at 3 x capacity, frames of 256", "goodput at capacity", "rows/s", 0.90)
REFUSALS = Target(
    "refusals", "p99 until a refusal, in that overload", "p50 until a forecast in it", "us", 1.0, at_most=True
)
FLAT = Target("flat", "memory after the overload", "memory before it", "bytes", 1.10, at_most=True)
TARGETS = (GOODPUT, REFUSALS, FLAT)
_TIMES = 3.0
_NUM_AT_CAPACITY = 16


def run(bench: Bench) -> Iterator[Outcome]:
    """Many streams, one frame in flight on each, so that no refusal stands behind an earlier reply."""
    num_streams, seconds = bench.sizes.overload_streams, bench.sizes.overload_s
    # Half of the streams may wait, so those who are admitted wait a fraction of a second and not several.
    with bench.server("--max-queued-rows", str(num_streams * FRAME // 2)) as server:
        capacity = _capacity(bench, server.address, bench.prefix())
        traffic = SmallFrames(bench.bare, bench.prefix(), num_streams, FRAME)
        with Lanes(server.address, STREAM_PATH, num_streams, num_connections=8) as lanes:
            for lane, opening in enumerate(traffic.openings):
                lanes.send(lane, opening)
            closed_loop(lanes, traffic, seconds=0.05, warm_up_s=0.0, may_refuse=True)
            before_bytes = server.memory_bytes()
            per_s = _TIMES * capacity / FRAME
            # A lead-in, so that a queue that fills once can be told from memory that keeps growing.
            open_loop(lanes, traffic, per_s=per_s, seconds=seconds / 10, may_refuse=True)
            early_bytes = server.memory_bytes()
            result = open_loop(lanes, traffic, per_s=per_s, seconds=seconds, may_refuse=True, server=server)
        after_bytes = server.memory_bytes()
        yield Outcome.of(
            GOODPUT,
            Pairs((result.per_s,), (capacity,)),
            refused_per_s=result.refused_per_s,
            unsent_per_s=result.num_unsent * FRAME / seconds,
            forecast_p99_us=result.percentile_us(99),
            load_busy=result.load_busy,
        )
        if len(result.refused_s):
            refused_us = float(np.percentile(result.refused_s, 99)) * 1e6
            yield Outcome.of(REFUSALS, Pairs((refused_us,), (result.percentile_us(50),)))
        else:
            yield Outcome(REFUSALS, fault="nothing was refused")
        pairs = Pairs((float(after_bytes),), (float(before_bytes),))
        yield Outcome.of(FLAT, pairs, after_a_tenth=after_bytes / early_bytes)


def _capacity(bench: Bench, address: str, prefix: str) -> float:
    """Rows a second of a closed loop, the median of repeats."""
    traffic = SmallFrames(bench.bare, prefix, _NUM_AT_CAPACITY, FRAME)
    with Lanes(address, STREAM_PATH, _NUM_AT_CAPACITY) as lanes:
        for lane, opening in enumerate(traffic.openings):
            lanes.send(lane, opening)
        found = [closed_loop(lanes, traffic, seconds=bench.sizes.seconds).per_s for _ in range(3)]
    return sorted(found)[1]
