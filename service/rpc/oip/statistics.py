"""What `ModelStatistics` tells: counts that only rise, by version."""

from dataclasses import dataclass

from service.rpc.inference import grpc_service_pb2 as pb


@dataclass(slots=True)
class VersionStatistics:
    """Of requests that one version answered; those that were refused count for the one then served.

    Attributes:
        num_sequences: advanced, each request counting as many as it named.
        num_batches: runs of the model that had a part in them.
        last_batch: the worker's count of batches when the last of those ended.
        last_at_s: when a request was last answered, seconds since 1970-01-01 UTC.
    """

    num_succeeded: int = 0
    succeeded_s: float = 0.0
    num_failed: int = 0
    failed_s: float = 0.0
    num_sequences: int = 0
    num_batches: int = 0
    last_batch: int = -1
    last_at_s: float = 0.0

    def succeed(self, num_sequences: int, batch: int, elapsed_s: float, now_wall_s: float) -> None:
        """A request was answered.

        Args:
            batch: the worker's count of batches when its rows were settled: the same number is the same run.
        """
        self.num_succeeded += 1
        self.succeeded_s += elapsed_s
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
    return pb.ModelStatistics(
        name=name,
        version=str(version),
        last_inference=round(of.last_at_s * 1e3),
        inference_count=of.num_sequences,
        execution_count=of.num_batches,
        inference_stats=pb.InferStatistics(
            success=_duration(of.num_succeeded, of.succeeded_s),
            fail=_duration(of.num_failed, of.failed_s),
        ),
    )


def _duration(count: int, elapsed_s: float) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=count, ns=round(elapsed_s * 1e9))
