"""Sessions that outlive the process: what each store costs, and how long a restart takes."""

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.bench import FRAME, Bench, open_sessions
from benchmarks.lanes import Lanes
from benchmarks.load import Result
from benchmarks.measure import Outcome, Pairs, Target, in_pairs
from benchmarks.processes import valkey
from benchmarks.rows.frames import ours
from benchmarks.traffic import STREAM_PATH, Frames

_MEMORY = "the memory store"
PROCESS = Target("sqlite-process", "frames of 256, SQLite, outliving kill -9", _MEMORY, "rows/s", 0.80)
POWER = Target("sqlite-power", "frames of 256, SQLite, outliving a power cut", _MEMORY, "rows/s", 0.60)
VALKEY = Target("valkey", "frames of 256, Valkey", _MEMORY, "rows/s", 0.30)
RESTART = Target(
    "restart",
    "restart with 100,000 sessions and a million rows journalled, until ready",
    "ten seconds",
    "us",
    1.0,
    at_most=True,
)
TARGETS = (PROCESS, POWER, VALKEY)
RESTART_TARGETS = (RESTART,)
_OPEN_WITHIN_S = 60.0
_ALLOWED_US = 10e6


def run(bench: Bench) -> Iterator[Outcome]:
    """Each store in turn with the memory store, a server each, with as many sessions."""
    with tempfile.TemporaryDirectory() as folder, valkey(bench.cores.load) as store:
        stores = {
            PROCESS: ("--store", f"sqlite:{folder}/process.db"),
            POWER: ("--store", f"sqlite:{folder}/power.db", "--durability", "power"),
            VALKEY: ("--store", store.url),
        }
        for target, flags in stores.items():
            if bench.wants(target):
                yield _compare(bench, target, flags)


def _compare(bench: Bench, target: Target, flags: tuple[str, ...]) -> Outcome:
    num_sessions = bench.sizes.durable_sessions
    with (
        bench.server("--store", "memory:") as plain,
        bench.server(*flags) as durable,
        Lanes(plain.address, STREAM_PATH, 1) as plain_lanes,
        Lanes(durable.address, STREAM_PATH, 1) as durable_lanes,
    ):
        sides = []
        for process, lanes in ((durable, durable_lanes), (plain, plain_lanes)):
            open_sessions(lanes, num_sessions, _OPEN_WITHIN_S)
            results: list[Result] = []
            frames = Frames(bench.bare, num_sessions, FRAME)
            sides.append((results, partial(ours, bench, process, lanes, frames, results)))
        (results, durable_per_s), (_, plain_per_s) = sides
        pairs = in_pairs(bench.sizes.repeats, durable_per_s, plain_per_s)
        return Outcome.of(target, pairs, frame_p50_us=results[-1].percentile_us(50))


def run_restart(bench: Bench) -> Iterator[Outcome]:
    """kill -9 with the whole journal ahead of the saved states; until the server answers again."""
    sizes = bench.sizes
    with tempfile.TemporaryDirectory() as folder:
        flags = ("--store", f"sqlite:{Path(folder) / 'sessions.db'}", "--journal-rows", "100000000")
        with bench.server(*flags) as server, Lanes(server.address, STREAM_PATH, 1) as lanes:
            open_sessions(lanes, sizes.many_sessions, _OPEN_WITHIN_S)
            frames = Frames(bench.bare, sizes.many_sessions, FRAME)
            number = 0
            num_frames = sizes.journal_rows // FRAME
            while number < num_frames:
                batch = min(8, num_frames - number)
                for each in range(number, number + batch):
                    lanes.send(0, frames.message(0, each))
                lanes.flush()
                number += batch
                while batch:
                    batch -= len(lanes.poll(10.0))
                    lanes.flush()
            server.kill()
        began_s = time.perf_counter()
        with bench.server(*flags):
            ready_us = (time.perf_counter() - began_s) * 1e6
        yield Outcome.of(
            RESTART,
            Pairs((ready_us,), (_ALLOWED_US,)),
            sessions=float(sizes.many_sessions),
            rows=float(number * FRAME),
        )
