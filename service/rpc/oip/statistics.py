"""What `ModelStatistics` tells: counts that only rise, by version."""

import itertools
from dataclasses import dataclass, field

from service.rpc.inference import grpc_service_pb2 as pb

# What a request goes through, as the protocol calls it, in order.
STAGES = ("compute_input", "queue", "compute_infer", "compute_output")


@dataclass(slots=True)
class VersionStatistics:
    """Of requests that one version answered; those that were refused count for the one then served.

    Attributes:
        stages_s: time spent in each of `STAGES`.
        num_sequences: advanced, each request counting as many as it named.
        num_batches: runs of the model that had a part in them.
        last_batch: the worker's count of batches when the last of those ended.
        last_at_s: when a request was last answered, seconds since 1970-01-01 UTC.
    """

    num_succeeded: int = 0
    num_failed: int = 0
    failed_s: float = 0.0
    stages_s: list[float] = field(default_factory=lambda: [0.0] * len(STAGES))
    num_sequences: int = 0
    num_batches: int = 0
    last_batch: int = -1
    last_at_s: float = 0.0

    def succeed(self, num_sequences: int, batch: int, times_s: list[float], now_wall_s: float) -> None:
        """A request was answered.

        Args:
            batch: the worker's count of batches when its rows were settled: the same number is the same run.
            times_s: when each of `STAGES` began, and when the last one ended.
        """
        self.num_succeeded += 1
        for stage, (begin_s, end_s) in enumerate(itertools.pairwise(times_s)):
            self.stages_s[stage] += end_s - begin_s
        self.num_sequences += num_sequences
        self.last_at_s = now_wall_s
        if batch != self.last_batch:
            self.num_batches += 1
            self.last_batch = batch

    def fail(self, elapsed_s: float) -> None:
        """A request was refused."""
        self.num_failed += 1
        self.failed_s += elapsed_s


def message(name: str, version: int, of: VersionStatistics) -> pb.ModelStatistics:
    """As it is told."""
    stages = {
        stage: _duration(of.num_succeeded, elapsed_s)
        for stage, elapsed_s in zip(STAGES, of.stages_s, strict=True)
    }
    return pb.ModelStatistics(
        name=name,
        version=str(version),
        last_inference=round(of.last_at_s * 1e3),
        inference_count=of.num_sequences,
        execution_count=of.num_batches,
        inference_stats=pb.InferStatistics(
            success=_duration(of.num_succeeded, sum(of.stages_s)),
            fail=_duration(of.num_failed, of.failed_s),
            **stages,
        ),
    )


def _duration(count: int, elapsed_s: float) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=count, ns=round(elapsed_s * 1e9))
