"""Values counted by size, in plain integers: whoever reads them pays, not whoever adds."""

from bisect import bisect_left
from collections.abc import Sequence

# Seconds, from a step of a small model to a store that stands still.
SECONDS = (
    0.00005,
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    10.0,
)
# Rows of a batch.
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)


class Histogram:
    """Changed on one thread; read on any, a value late at most.

    Attributes:
        bounds: ascending; a value belongs to the first bound that is not below it.
        counts: values at each bound, and above the last.
        total: their sum.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Prometheus' buckets: by upper bound as text, the values not above it."""
        buckets, num_values = [], 0
        for bound, count in zip((*map(float, self.bounds), "+Inf"), self.counts, strict=True):
            num_values += count
            buckets.append((str(bound), float(num_values)))
        return buckets
