"""Histories: as fast as ONNX Runtime runs them whole, and not in the way of single steps."""

import statistics
from collections.abc import Iterator

from benchmarks.background import HistoryLoader
from benchmarks.bench import Bench
from benchmarks.lanes import Lanes
from benchmarks.load import closed_loop, open_loop
from benchmarks.measure import Outcome, Target, in_pairs
from benchmarks.traffic import STREAM_PATH, Histories, SingleRows

HISTORY = Target(
    "history",
    "histories of 1,000 rows, 64 sessions at once",
    "bare ONNX Runtime on the same sequence",
    "rows/s",
    0.85,
)
TARGETS = (HISTORY,)
MIXED = Target(
    "mixed",
    "p99 of single steps while histories of 10,000 rows are loaded",
    "p99 without them",
    "us",
    3.0,
    at_most=True,
)
MIXED_TARGETS = (MIXED,)
_NUM_SESSIONS = 64
_NUM_STEPPING = 16
_STEPS_PER_S = 500.0


def run(bench: Bench) -> Iterator[Outcome]:
    """Histories in frames of 64 sessions, two in flight; only the last forecast is asked for."""
    size, num_rows = _NUM_SESSIONS, bench.sizes.history_rows
    with bench.server() as server:

        def ours() -> float:
            # New sessions each time, so that the comparison has no longer histories to replay.
            traffic = Histories(bench.bare, size, num_rows)
            with Lanes(server.address, STREAM_PATH, 1) as lanes:
                for opening in traffic.openings(bench.prefix()):
                    lanes.send(0, opening)
                return closed_loop(
                    lanes, traffic, seconds=bench.sizes.seconds, window=2, warm_up_s=0.0, server=server
                ).per_s

        def bare() -> float:
            runs = [bench.bare.history_s(size, num_rows) for _ in range(3)]
            return size * num_rows / statistics.median(runs)

        yield Outcome.of(HISTORY, in_pairs(bench.sizes.repeats, ours, bare))


def run_mixed(bench: Bench) -> Iterator[Outcome]:
    """Single steps by the clock, with and without a second client that loads long histories."""
    rows: list[float] = []
    with bench.server() as server, HistoryLoader(server.address, bench.sizes.long_history_rows) as loader:

        def p99_us() -> float:
            traffic = SingleRows(bench.bare, bench.prefix(), _NUM_STEPPING)
            with Lanes(server.address, STREAM_PATH, _NUM_STEPPING) as lanes:
                for lane, opening in enumerate(traffic.openings):
                    lanes.send(lane, opening)
                seconds = 2 * bench.sizes.seconds
                result = open_loop(lanes, traffic, per_s=_STEPS_PER_S, seconds=seconds, spin=False)
                return result.percentile_us(99)

        def loaded() -> float:
            loader.start()
            try:
                return p99_us()
            finally:
                rows.append(loader.stop())

        yield Outcome.of(
            MIXED, in_pairs(bench.sizes.repeats, loaded, p99_us), history_rows_per_s=statistics.median(rows)
        )
