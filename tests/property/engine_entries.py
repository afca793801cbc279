"""Entries at random: whose, how many rows, what they hold, when they were, where they say they begin."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from tests.property.engine_truth import HOUR_US, NUM_FEATURES
from tests.property.forecasters import Array

NAMES = tuple("abcdefg")
START_US = 1_700_000_000_000_000


class Entry(NamedTuple):
    """How an entry is made, so that a falsifying example is short.

    Attributes:
        level: of the values, and how far they walk at each row.
        missing: the part of the values that is.
        pace: how time passes from row to row.
        place: where it says that it begins, from where the session will be; None to say nothing.
    """

    name: str
    num_rows: int
    level: tuple[float, float]
    missing: float
    pace: str
    place: int | None
    seed: int


ENTRIES = st.builds(
    Entry,
    name=st.sampled_from(NAMES),
    num_rows=st.one_of(st.just(1), st.just(1), st.integers(2, 6), st.integers(17, 30), st.integers(40, 90)),
    level=st.sampled_from([(0.0, 1.0), (1e3, 5.0), (-7.0, 1e-2)]),
    missing=st.sampled_from([0.0, 0.0, 0.3, 1.0]),
    pace=st.sampled_from(["untimed", "regular", "uneven"]),
    place=st.one_of(st.none(), st.just(0), st.integers(-30, 2), st.just(-70)),
    seed=st.integers(0, 2**32 - 1),
)


def rows_of(entry: Entry) -> Array:
    """(T, F): a walk, with values missing."""
    random, (level, scale) = np.random.default_rng(entry.seed), entry.level
    rows = level + scale * random.standard_normal((entry.num_rows, NUM_FEATURES)).cumsum(axis=0)
    rows[random.random(rows.shape) < entry.missing] = np.nan
    return rows


def times_of(entry: Entry, before_us: int) -> tuple[Array | None, int]:
    """(T,) from `before_us` on: an hour apart, or with gaps and late rows; and the latest so far."""
    if entry.pace == "untimed":
        return None, before_us
    random, hours = np.random.default_rng(entry.seed), np.ones(entry.num_rows)
    if entry.pace == "uneven":
        is_odd = random.random(entry.num_rows) < (0.5 if entry.num_rows < 10 else 0.1)
        hours[is_odd] = random.choice([0, -2, 1.3, 2, 3, 7], int(is_odd.sum()))
    times = before_us + (hours * HOUR_US).cumsum().astype(np.int64)
    return times, int(times.max())
