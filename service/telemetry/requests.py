"""What became of calls, by method and status."""

from collections import Counter

from service.telemetry.histogram import SECONDS, Histogram


class RequestCounts:
    """Changed and read on the event loop. As many numbers as methods are served, times their statuses.

    Attributes:
        begun: calls by method.
        ended: calls by method and the name of their status.
        duration_s: of unary calls, by method.
    """

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.ended: Counter[tuple[str, str]] = Counter()
        self.duration_s: dict[str, Histogram] = {}

    def begin(self, method: str) -> None:
        """A call came."""
        self.begun[method] += 1

    def end(self, method: str, status: str) -> None:
        """It was answered, or is over."""
        self.ended[method, status] += 1

    def took(self, method: str, seconds: float) -> None:
        """How long a unary call was."""
        histogram = self.duration_s.get(method)
        if histogram is None:
            histogram = self.duration_s[method] = Histogram(SECONDS)
        histogram.add(seconds)

    def under_way(self) -> dict[str, int]:
        """Calls that have begun and not ended, by method."""
        left = Counter(self.begun)
        for (method, _), count in self.ended.items():
            left[method] -= count
        return dict(left)
