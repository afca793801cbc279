"""Which rows of a chunk step the model: positions, duplicates, late rows and gaps. Pure functions."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from models.frequency import Frequency
from service.engine.runner import Rows
from service.errors import InvalidRequest, PositionConflict
from service.sessions.chunk import Chunk, Times


@dataclass(frozen=True, slots=True)
class Plan:
    """What a chunk does to its session, before it is done.

    Attributes:
        rows: (S, F) float64: the rows to step, missing steps put in as rows of NaN; S may be 0.
        observed: (N,) int64: which of the S rows were sent; the others are missing steps.
        positions: (N,) int64: rows consumed after each of those.
        position: rows consumed once committed.
        last_time_us: the session's last time once committed.
    """

    rows: Rows
    observed: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    position: int
    last_time_us: int | None
    num_skipped: int
    num_late: int

    @property
    def num_missing_steps(self) -> int:
        """Steps that gaps in time inserted."""
        return len(self.rows) - len(self.observed)


@dataclass(frozen=True, slots=True)
class StepLimits:
    """How far one chunk may advance a session.

    Attributes:
        max_gap_steps: missing steps that one gap in time inserts at most; a longer gap inserts so many.
        max_steps: steps of a whole chunk; a chunk with more is refused.
    """

    max_gap_steps: int
    max_steps: int


def plan(
    chunk: Chunk, committed: int, last_time_us: int | None, frequency: Frequency, limits: StepLimits
) -> Plan:
    """Hold a chunk against what its session has consumed.

    Rows below the committed position are skipped. Of the rest, a row at or before the latest time is
    late: it is consumed, so that positions keep counting what the sender sent, and does not step the
    model. A gap of k steps between two times puts k - 1 missing steps between them.

    Raises:
        PositionConflict: the chunk starts after the committed position.
        InvalidRequest: gaps in time make more steps of the chunk than one may have.
    """
    skipped = 0
    if chunk.position is not None:
        if chunk.position > committed:
            raise PositionConflict(chunk.session_id, committed, chunk.position)
        skipped = min(committed - chunk.position, len(chunk.values))
    values = chunk.values[skipped:]
    position = committed + len(values)
    positions = np.arange(committed, position) + 1
    if chunk.times_us is None or not len(values):
        return Plan(values, positions - committed - 1, positions, position, last_time_us, skipped, 0)

    times = chunk.times_us[skipped:]
    in_time = _advances(times, last_time_us)
    late = int((~in_time).sum())
    values, times, positions = values[in_time], times[in_time], positions[in_time]
    if not len(values):
        return Plan(values, positions, positions, position, last_time_us, skipped, late)
    observed = _step_of_each(times, last_time_us, frequency, limits.max_gap_steps)
    num_steps = int(observed[-1]) + 1
    if num_steps > limits.max_steps:
        found = f"gaps that make {num_steps} steps of {len(values)} rows"
        raise InvalidRequest("times_us", found, f"at most {limits.max_steps} steps")
    rows = np.full((num_steps, values.shape[1]), np.nan)
    rows[observed] = values
    return Plan(rows, observed, positions, position, int(times[-1]), skipped, late)


def _advances(times: Times, last_time_us: int | None) -> npt.NDArray[np.bool_]:
    """Which times are after every time before them."""
    first = times[0] - 1 if last_time_us is None else last_time_us
    latest = np.maximum.accumulate(np.concatenate([[first], times]))[:-1]
    return times > latest


def _step_of_each(
    times: Times, last_time_us: int | None, frequency: Frequency, max_gap_steps: int
) -> npt.NDArray[np.int64]:
    """Each row's step, counted from 0 for the first step after the session's last row."""
    # A session's first row stands at its first step whenever it comes: there is nothing to be late for.
    before = times[:1] if last_time_us is None else np.array([last_time_us])
    previous = np.concatenate([before, times[:-1]])
    steps = np.minimum(frequency.steps_between(previous, times), max_gap_steps + 1)
    return cast(npt.NDArray[np.int64], np.cumsum(steps) - 1)
