"""Frames of 256 sessions, a hundred thousand resident, against bare ONNX Runtime at batch 256."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.bench import FRAME, Bench, open_sessions
from benchmarks.lanes import Lanes
from benchmarks.load import Result, closed_loop
from benchmarks.measure import Outcome, Target, in_pairs
from benchmarks.processes import Process
from benchmarks.traffic import STREAM_PATH, Frames
from statecast.v1 import forecast_pb2 as pb

FORECASTS = Target(
    "frames",
    "frames of 256 sessions, a forecast each, 100,000 resident",
    "bare ONNX Runtime, batch 256, one thread",
    "rows/s",
    0.70,
)
OBSERVED = Target("observe", "the same, observe only", "the bare recurrent part", "rows/s", 0.70)
TARGETS = (FORECASTS, OBSERVED)
# As many as keep the server busy while the client reads.
FRAMES_IN_FLIGHT = 4
_OPEN_WITHIN_S = 20.0


def run(bench: Bench) -> Iterator[Outcome]:
    """Both rows, on one server."""
    with bench.server() as server, Lanes(server.address, STREAM_PATH, 1) as lanes:
        open_sessions(lanes, bench.sizes.many_sessions, _OPEN_WITHIN_S)
        frames = Frames(bench.bare, bench.sizes.many_sessions, FRAME)
        for target, reply in ((FORECASTS, pb.REPLY_LAST), (OBSERVED, pb.REPLY_NONE)):
            if not bench.wants(target):
                continue
            frames.ask(reply)
            results: list[Result] = []
            pairs = in_pairs(
                bench.sizes.repeats,
                partial(ours, bench, server, lanes, frames, results),
                partial(_bare_rows_per_s, bench, forecast=reply == pb.REPLY_LAST),
            )
            if target is FORECASTS:
                bench.draw_throughput(bench.sizes.many_sessions, pairs.ours)
            yield Outcome.of(
                target,
                pairs,
                frame_p50_us=results[-1].percentile_us(50),
                server_busy=results[-1].server_busy,
                load_busy=results[-1].load_busy,
            )


def ours(bench: Bench, server: Process, lanes: Lanes, frames: Frames, results: list[Result]) -> float:
    """Rows a second; the result is added to `results`."""
    seconds = bench.sizes.seconds
    results.append(closed_loop(lanes, frames, seconds=seconds, window=FRAMES_IN_FLIGHT, server=server))
    return results[-1].per_s


def _bare_rows_per_s(bench: Bench, *, forecast: bool) -> float:
    durations = bench.bare.step_s(FRAME, bench.sizes.seconds / 2, forecast=forecast)
    return FRAME / float(np.median(durations))
