"""The page: what it costs a server that nobody looks at, and one of whose sessions somebody watches."""

from collections.abc import Iterator

import numpy as np

from benchmarks.asked import asked
from benchmarks.bench import FRAME, Bench, open_sessions
from benchmarks.lanes import Lanes
from benchmarks.load import closed_loop
from benchmarks.measure import Outcome, Target, in_pairs
from benchmarks.model import NAME
from benchmarks.processes import Process
from benchmarks.rows.frames import FRAMES_IN_FLIGHT
from benchmarks.traffic import STREAM_PATH, Frames

CLOSED = Target(
    "page-closed", "frames of 256, the page served and closed", "without an HTTP port", "rows/s", 0.98
)
OPEN = Target(
    "page-open", "frames of 256, one session of theirs watched in the page", "the page closed", "rows/s", 0.98
)
TARGETS = (CLOSED, OPEN)
_OPEN_WITHIN_S = 20.0
# Of a difference of hundredths: many short pairs, so that little drifts between two of them.
_PAIRS_A_REPEAT = 12
_WATCHED = "n0"


class _Side:
    """A server with its load."""

    def __init__(self, bench: Bench, server: Process, lanes: Lanes) -> None:
        self._bench, self.server, self._lanes = bench, server, lanes
        open_sessions(lanes, bench.sizes.few_sessions, _OPEN_WITHIN_S)
        self._frames = Frames(bench.bare, bench.sizes.few_sessions, FRAME)
        # Rows a second, and the part of it that the server worked.
        self.seen: list[tuple[float, float]] = []

    def per_s(self) -> float:
        """Rows a second."""
        seconds = self._bench.sizes.seconds / 2
        found = closed_loop(
            self._lanes, self._frames, seconds=seconds, window=FRAMES_IN_FLIGHT, server=self.server
        )
        self.seen.append((found.per_s, found.server_busy))
        return found.per_s


def run(bench: Bench) -> Iterator[Outcome]:
    """Both rows: two servers in turn, then one of them with its page open and closed in turn."""
    num_pairs = bench.sizes.repeats * _PAIRS_A_REPEAT
    with (
        bench.server() as plain,
        bench.server("--http-address", "127.0.0.1:0") as served,
        Lanes(plain.address, STREAM_PATH, 1) as plain_lanes,
        Lanes(served.address, STREAM_PATH, 1) as served_lanes,
    ):
        page = _Side(bench, served, served_lanes)
        if bench.wants(CLOSED):
            without = _Side(bench, plain, plain_lanes)
            pairs = in_pairs(num_pairs, page.per_s, without.per_s)
            yield Outcome.of(CLOSED, pairs, ratio_of_processor_time=_ratio(page.seen, without.seen))
        if bench.wants(OPEN):
            yield _watched(page, num_pairs)


def _watched(page: _Side, num_pairs: int) -> Outcome:
    watched: list[tuple[float, float]] = []
    closed: list[tuple[float, float]] = []
    told: list[int] = []

    def open_per_s() -> float:
        page.seen = watched
        send("open")
        per_s = page.per_s()
        told.append(int(send("close")))
        return per_s

    def closed_per_s() -> float:
        page.seen = closed
        return page.per_s()

    address = page.server.logged("http")["address"]
    with asked("benchmarks.page_reader", address, NAME, _WATCHED) as send:
        pairs = in_pairs(num_pairs, open_per_s, closed_per_s)
    if not all(told):
        raise RuntimeError("the page was told of no row")
    return Outcome.of(
        OPEN, pairs, ratio_of_processor_time=_ratio(watched, closed), messages_told=float(sum(told))
    )


def _ratio(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> float:
    """Of rows by the server's own time, which another process on its core changes less."""
    (our_rows, our_s), (their_rows, their_s) = np.sum(ours, axis=0), np.sum(theirs, axis=0)
    return round(float(our_rows / our_s / (their_rows / their_s)), 4)
