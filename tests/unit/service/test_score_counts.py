"""Coverage, as it is counted."""

import numpy as np

from service.sessions.counts import Counts


def test_rows_with_a_score_are_counted_and_those_within_the_outermost_levels():
    """A value that is the outermost quantile itself is within, however rounded; NaN is neither."""
    counts = Counts()
    positions = np.array([[0.0999999, 0.5, np.nan], [0.9000001, 0.0998, 0.95]], np.float32)
    counts.add_scores(np.stack([positions, np.ones_like(positions)], axis=-1), (0.1, 0.5, 0.9))
    counts.add_scores(np.full((2, 4, 2), np.nan, np.float32), (0.1, 0.5, 0.9))
    assert (counts.rows_scored, counts.rows_covered) == (5, 3)
