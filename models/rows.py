"""The columns of a row as a graph reads it. No torch here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RowLayout:
    """A row of the graph's input `x`: its features, what is known of the steps to come, its time.

    For each feature of `future`, in order, `horizon` columns follow the features: its values at the steps
    to come, the next one first; NaN where they are not known. Where the graph reads the time, the last
    column holds it in microseconds since 1970-01-01 UTC (exact in float64), NaN where there is none: the
    graph then counts one step on from the row before.

    Attributes:
        num_features: F, the target first.
        future: indices of the features that are known ahead, ascending.
        horizon: K.
        reads_time: whether there is a column of times.
    """

    num_features: int
    future: tuple[int, ...] = ()
    horizon: int = 1
    reads_time: bool = False

    @property
    def num_values(self) -> int:
        """Columns that a caller gives: all but the time."""
        return self.num_features + len(self.future) * self.horizon

    @property
    def width(self) -> int:
        """Columns in all."""
        return self.num_values + self.reads_time
