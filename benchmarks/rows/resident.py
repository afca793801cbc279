"""A million sessions: as fast as a thousand, and no more memory than their states need."""

from collections.abc import Iterator
from functools import partial

from benchmarks.bench import FRAME, Bench, open_sessions
from benchmarks.lanes import Lanes
from benchmarks.load import Result
from benchmarks.measure import Outcome, Pairs, Target, in_pairs
from benchmarks.rows.frames import ours
from benchmarks.traffic import STREAM_PATH, Frames

SPEED = Target("million", "frames of 256, a million sessions resident", "a thousand resident", "rows/s", 0.90)
MEMORY = Target(
    "memory",
    "resident memory per session at a million, their stream open",
    "the bytes of its state",
    "bytes",
    1.3,
    at_most=True,
)
TARGETS = (SPEED, MEMORY)
_OPEN_WITHIN_S = 60.0


def run(bench: Bench) -> Iterator[Outcome]:
    """Two servers in turn, one with a thousand sessions and one with a million."""
    few, most = bench.sizes.few_sessions, bench.sizes.most_sessions
    with (
        bench.server() as small,
        bench.server("--max-sessions", str(2 * most)) as big,
        Lanes(small.address, STREAM_PATH, 1) as small_lanes,
        Lanes(big.address, STREAM_PATH, 1) as big_lanes,
    ):
        open_sessions(small_lanes, few, _OPEN_WITHIN_S)
        empty_bytes = small.memory_bytes()
        open_sessions(big_lanes, most, _OPEN_WITHIN_S)
        results: list[Result] = []
        pairs = in_pairs(
            bench.sizes.repeats,
            partial(ours, bench, big, big_lanes, Frames(bench.bare, most, FRAME), results),
            partial(ours, bench, small, small_lanes, Frames(bench.bare, few, FRAME), results),
        )
        bench.draw_throughput(few, pairs.theirs)
        bench.draw_throughput(most, pairs.ours)
        yield Outcome.of(SPEED, pairs)
        per_session = (big.memory_bytes() - empty_bytes) / (most - few)
        state_bytes = float(bench.bare.manifest.state_bytes)
        yield Outcome.of(MEMORY, Pairs((per_session,), (state_bytes,)))
