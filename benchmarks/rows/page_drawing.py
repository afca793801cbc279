"""The page: whether a session of fifty rows a second is drawn smoothly, in a real browser."""

import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import statecast
from benchmarks.asked import Asked, asked
from benchmarks.bench import Bench
from benchmarks.measure import Outcome, Target, in_pairs
from benchmarks.model import NAME
from benchmarks.page_frames import CHROMIUM

DRAWING = Target(
    "page-drawing", "frames of the live view at 50 rows a second", "no row coming", "frames/s", 0.9
)
TARGETS = (DRAWING,)
_ROWS_PER_S = 50
_SESSION = "drawn"
# So many rows that the chart has all it shows.
_NUM_BEFORE = 150
# What is watched is a flow of rows and a page at rest, by the clock: first the page shows what came before.
_SETTLE_S = 0.6


def run(bench: Bench) -> Iterator[Outcome]:
    """The one row: the same page with rows coming and without, in turn."""
    if not Path(CHROMIUM).exists() or find_spec("playwright") is None:
        yield Outcome(DRAWING, fault=f"not measured: expected {CHROMIUM} and the package playwright")
        return
    with bench.server("--http-address", "127.0.0.1:0") as server, statecast.Client(server.address) as client:
        session = client.session(NAME, _SESSION)
        # One step at least, so that the view shows a session that there is.
        session.observe([10.0])
        address = server.logged("http")["address"]
        with asked("benchmarks.page_frames", address, NAME, _SESSION) as ask:
            ask.answer()
            yield _measured(bench, session, ask)


def _measured(bench: Bench, session: statecast.Session, ask: Asked) -> Outcome:
    seconds, seen = 5 * bench.sizes.seconds, []
    feeder = _Feeder(session)

    def streaming() -> float:
        with feeder.feeding():
            time.sleep(_SETTLE_S)
            seen.append(json.loads(ask(f"{seconds}")))
        return float(seen[-1]["frames"])

    def still() -> float:
        time.sleep(_SETTLE_S)
        return float(json.loads(ask(f"{seconds}"))["frames"])

    with feeder.feeding():
        time.sleep(_NUM_BEFORE / _ROWS_PER_S)
    pairs = in_pairs(bench.sizes.repeats, streaming, still)
    time.sleep(_SETTLE_S)
    return Outcome.of(
        DRAWING,
        pairs,
        drawings_per_s=statistics.median(each["drawings"] for each in seen),
        longest_gap_ms=max(each["longest_ms"] for each in seen),
        share_of_rows_shown=json.loads(ask("")) / feeder.num_sent,
    )


class _Feeder:
    """Sends a row every fiftieth of a second."""

    def __init__(self, session: statecast.Session) -> None:
        self._session = session
        self.num_sent = 0

    @contextmanager
    def feeding(self) -> Iterator[None]:
        """For as long as this is entered.

        Raises:
            RuntimeError: a row was not taken.
        """
        ended, failed = threading.Event(), []

        def feed() -> None:
            due = time.perf_counter()
            try:
                while not ended.is_set():
                    self._session.observe([10.0 + self.num_sent % 7])
                    self.num_sent += 1
                    due += 1 / _ROWS_PER_S
                    ended.wait(max(due - time.perf_counter(), 0))
            except statecast.StatecastError as error:
                failed.append(error)

        thread = threading.Thread(target=feed)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
        if failed:
            raise RuntimeError(f"a row was not taken: {failed[0]}")
