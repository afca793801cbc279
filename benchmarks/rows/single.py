"""One row a message, against a bare grpc.aio echo with the same message sizes."""

from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np

from benchmarks.bench import Bench, first_reply
from benchmarks.lanes import Lanes
from benchmarks.load import Result, closed_loop, open_loop
from benchmarks.measure import Outcome, Pairs, Target
from benchmarks.processes import Process
from benchmarks.traffic import STREAM_PATH, UNARY_PATH, Echoed, SingleRows, UnaryRows

_ECHO = "bare grpc.aio echo, same message sizes"
STREAMS_32 = Target("streams-32", "32 streams, one row a message", _ECHO, "messages/s", 0.80)
STREAMS_256 = Target("streams-256", "256 streams, one row a message", _ECHO, "messages/s", 0.80)
UNARY = Target("unary", "32 unary calls in flight, one row a call", _ECHO, "messages/s", 0.80)
_STEP = "the echo's plus the bare step"
ONE_P50 = Target("one-p50", "one session, closed loop, p50", _STEP, "us", 1.3, at_most=True)
ONE_P99 = Target("one-p99", "one session, closed loop, p99", _STEP, "us", 1.3, at_most=True)
TARGETS = (STREAMS_32, STREAMS_256, UNARY, ONE_P50, ONE_P99)
_LOADS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9)


class _Contest:
    """The server and the echo, under the same load in turn."""

    def __init__(self, bench: Bench, server: Process, echo: Process) -> None:
        self._bench, self._server, self._echo = bench, server, echo

    def closed(self, num_lanes: int, *, unary: bool = False) -> list[tuple[Result, Result]]:
        """Results of each pair, ours first. Every repeat has streams and sessions of its own."""
        return [
            self._once(num_lanes, unary, swap=repeat % 2 == 1) for repeat in range(self._bench.sizes.repeats)
        ]

    def _once(self, num_lanes: int, unary: bool, *, swap: bool) -> tuple[Result, Result]:
        seconds = self._bench.sizes.seconds
        with ExitStack() as stack:
            sides = self._sides(stack, num_lanes, unary)
            results = [
                closed_loop(lanes, traffic, seconds=seconds, server=process)
                for lanes, traffic, process in (reversed(sides) if swap else sides)
            ]
        return (results[1], results[0]) if swap else (results[0], results[1])

    def curve(self, num_lanes: int, capacity_per_s: float) -> None:
        """Latency against load, for the picture: an open loop at parts of our capacity."""
        for load in _LOADS:
            with ExitStack() as stack:
                sides = self._sides(stack, num_lanes, unary=False)
                for name, (lanes, traffic, process) in zip(("ours", "echo"), sides, strict=True):
                    result = open_loop(
                        lanes,
                        traffic,
                        per_s=load * capacity_per_s,
                        seconds=self._bench.sizes.seconds,
                        spin=self._bench.cores.load is not None,
                        server=process,
                    )
                    self._bench.curves.setdefault(f"latency {name}", []).append(
                        {
                            "per_s": result.per_s,
                            "p50_us": result.percentile_us(50),
                            "p99_us": result.percentile_us(99),
                        }
                    )

    def _sides(
        self, stack: ExitStack, num_lanes: int, unary: bool
    ) -> list[tuple[Lanes, SingleRows | UnaryRows | Echoed, Process]]:
        prefix, bare = self._bench.prefix(), self._bench.bare
        path, kind = (UNARY_PATH, "unary") if unary else (STREAM_PATH, "stream")
        traffic = UnaryRows(bare, prefix, num_lanes) if unary else SingleRows(bare, prefix, num_lanes)
        lanes = stack.enter_context(Lanes(self._server.address, path, num_lanes, unary=unary))
        if isinstance(traffic, SingleRows):
            for lane, opening in enumerate(traffic.openings):
                lanes.send(lane, opening)
        size = len(first_reply(lanes, traffic))
        echo_lanes = Lanes(self._echo.address, f"/echo/{kind}/{size}", num_lanes, unary=unary)
        stack.enter_context(echo_lanes)
        sides = [(lanes, traffic, self._server), (echo_lanes, Echoed(traffic, size), self._echo)]
        for started, carried, _ in sides:
            # Under load grpc.aio starts the last of many new streams only seconds later: a round with
            # nothing behind it starts them all.
            closed_loop(started, carried, seconds=0.0, warm_up_s=0.0)
        return sides


def run(bench: Bench) -> Iterator[Outcome]:
    """All rows of single messages, and the curve of latency against load."""
    with bench.server() as server, bench.echo(server) as echo:
        contest = _Contest(bench, server, echo)
        for target, num_lanes, unary in (
            (STREAMS_32, 32, False),
            (STREAMS_256, 256, False),
            (UNARY, 32, True),
        ):
            if not bench.wants(target):
                continue
            results = contest.closed(num_lanes, unary=unary)
            pairs = Pairs(tuple(ours.per_s for ours, _ in results), tuple(echo.per_s for _, echo in results))
            yield Outcome.of(target, pairs, **_notes(*results[-1]))
            if target is STREAMS_32 and not bench.only:
                contest.curve(32, float(np.median(pairs.ours)))
        if not (bench.wants(ONE_P50) or bench.wants(ONE_P99)):
            return
        results = contest.closed(1)
        step_us = float(np.median(bench.bare.step_s(1, bench.sizes.seconds / 2, forecast=True))) * 1e6
        for target, percent in ((ONE_P50, 50), (ONE_P99, 99)):
            pairs = Pairs(
                tuple(ours.percentile_us(percent) for ours, _ in results),
                tuple(echo.percentile_us(percent) + step_us for _, echo in results),
            )
            yield Outcome.of(target, pairs, bare_step_us=step_us)


def _notes(ours: Result, echo: Result) -> dict[str, float]:
    return {
        "p50_us": ours.percentile_us(50),
        "p99_us": ours.percentile_us(99),
        "server_busy": ours.server_busy,
        "load_busy": ours.load_busy,
        "echo_busy": echo.server_busy,
        "echo_load_busy": echo.load_busy,
    }
