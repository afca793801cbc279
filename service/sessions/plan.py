"""Which rows step the model: positions, duplicates, late rows and gaps. Pure functions.

`plan_batch` sorts a whole batch by columns; the few entries that are not plain go through `plan`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from models.frequency import Frequency
from service.engine.runner import Reply, Rows
from service.errors import InvalidRequest, PositionConflict, StatecastError
from service.sessions.batch import Batch, row_indices
from service.sessions.frame import NO_POSITION, Integers
from service.store.contract import NO_TIME

if TYPE_CHECKING:
    from service.sessions.watched import Watched

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class StepLimits:
    """How far one entry may advance a session.

    Attributes:
        max_gap_steps: missing steps that one gap in time inserts at most; a longer gap inserts so many.
        max_steps: steps of a whole entry; one with more is refused.
    """

    max_gap_steps: int
    max_steps: int


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """What an entry does to its session, before it is done.

    Attributes:
        rows: (S, F) float64: the rows to step, missing steps put in as rows of NaN; S may be 0.
        observed: (N,) which of the S rows were sent; the others are missing steps.
        positions: (N,) rows consumed after each of those.
        position: rows consumed once committed.
        last_time_us: the session's last time once committed, NO_TIME where rows carried none.
    """

    rows: Rows
    observed: Integers
    positions: Integers
    position: int
    last_time_us: int
    num_skipped: int
    num_late: int

    @property
    def num_missing_steps(self) -> int:
        """Steps that gaps in time inserted."""
        return len(self.rows) - len(self.observed)


def plan(
    values: Rows,
    times_us: Integers | None,
    position: int,
    committed: int,
    last_time_us: int,
    frequency: Frequency,
    limits: StepLimits,
) -> Plan:
    """Hold rows against what their session has consumed.

    Rows below the committed position are skipped. Of the rest, a row at or before the latest time is
    late: it is consumed, so that positions keep counting what the sender sent, and does not step the
    model. A gap of k steps between two times puts k - 1 missing steps between them.

    Args:
        values: (T, F).
        times_us: (T,) or None.
        position: rows consumed before the first row, or NO_POSITION.
        committed: rows the session has consumed.
        last_time_us: its last time, or NO_TIME.

    Raises:
        PositionConflict: the rows start after the committed position.
        InvalidRequest: gaps in time make more steps of the rows than an entry may have.
    """
    skipped = 0
    if position != NO_POSITION:
        if position > committed:
            raise PositionConflict(committed, position)
        skipped = min(committed - position, len(values))
    values = values[skipped:]
    after = committed + len(values)
    positions = np.arange(committed, after) + 1
    if times_us is None or not len(values):
        return Plan(values, positions - committed - 1, positions, after, NO_TIME, skipped, 0)

    times = times_us[skipped:]
    in_time = _advances(times, last_time_us)
    late = int((~in_time).sum())
    values, times, positions = values[in_time], times[in_time], positions[in_time]
    if not len(values):
        return Plan(values, positions, positions, after, NO_TIME, skipped, late)
    observed = _step_of_each(times, last_time_us, frequency, limits.max_gap_steps)
    num_steps = int(observed[-1]) + 1
    if num_steps > limits.max_steps:
        found = f"gaps that make {num_steps} steps of {len(values)} rows"
        raise InvalidRequest("times_us", found, f"at most {limits.max_steps} steps")
    rows = np.full((num_steps, values.shape[1]), np.nan)
    rows[observed] = values
    return Plan(rows, observed, positions, after, int(times[-1]), skipped, late)


def _advances(times: Integers, last_time_us: int) -> Mask:
    """Which times are after every time before them."""
    latest = np.maximum.accumulate(np.concatenate([[last_time_us], times]))[:-1]
    return times > latest


def _step_of_each(times: Integers, last_time_us: int, frequency: Frequency, max_gap_steps: int) -> Integers:
    """Each row's step, counted from 0 for the first step after the session's last row."""
    # A session's first row stands at its first step whenever it comes: there is nothing to be late for.
    before = times[:1] if last_time_us == NO_TIME else np.array([last_time_us])
    previous = np.concatenate([before, times[:-1]])
    steps = np.minimum(frequency.steps_between(previous, times), max_gap_steps + 1)
    return cast(Integers, np.cumsum(steps) - 1)


@dataclass(frozen=True, eq=False, slots=True)
class Group:
    """Entries that one run of the model advances: one number of steps, one kind of reply.

    Attributes:
        entries: (B,) of the batch, or None for all of them.
        rows: (B, S, F).
        reply: which forecasts the run returns.
        plans: of the entries that are not plain, else None: every row is an observation then.
    """

    entries: Integers | None
    rows: Rows
    reply: Reply
    plans: list[Plan] | None = None


@dataclass(eq=False, slots=True)
class BatchPlan:
    """What a batch does, N entries.

    Attributes:
        groups: what steps.
        standing: (M,) entries with no row to step: their forecast is that of the session as it stands.
        refused: by entry, why.
        positions: (N,) rows consumed once committed.
        last_times_us: (N,) last times once committed, or None where no row carried one.
        counts: (3, N) skipped, late and missing steps, as in `Plan`; None where all are zero.
        began_s: when its run began, on the worker's clock.
        ended_s: when its run ended.
        stored_s: when a durable store had it, or had refused it; 0 where none was asked.
        watched: its entries whose sessions are watched, as `watched.Watched`.
    """

    positions: Integers
    last_times_us: Integers | None
    counts: Integers | None = None
    groups: list[Group] = field(default_factory=list)
    standing: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    refused: dict[int, StatecastError] = field(default_factory=dict)
    began_s: float = 0.0
    ended_s: float = 0.0
    stored_s: float = 0.0
    watched: "Sequence[Watched]" = ()


def plan_batch(
    batch: Batch,
    committed: Integers,
    last_times_us: Integers,
    frequency: Frequency,
    limits: StepLimits,
) -> BatchPlan:
    """Plan every entry of a batch.

    Args:
        committed: (N,) rows each entry's session has consumed.
        last_times_us: (N,) its last time, or NO_TIME.
    """
    is_plain = (batch.positions == NO_POSITION) | (batch.positions == committed)
    last = None
    if batch.times_us is not None:
        is_plain &= _all_next(batch, batch.times_us, last_times_us, frequency)
        last = batch.times_us[batch.starts + batch.lengths - 1]
    result = BatchPlan(committed + batch.lengths, last)
    if is_plain.all():
        result.groups = _plain_groups(batch, None)
    else:
        result.groups = _plain_groups(batch, np.flatnonzero(is_plain))
        odd = np.flatnonzero(~is_plain)
        result.counts = np.zeros((3, len(batch)), np.int64)
        _plan_odd(batch, odd, committed, last_times_us, frequency, limits, result)
    return result


def _all_next(batch: Batch, times: Integers, last_times_us: Integers, frequency: Frequency) -> Mask:
    """Whether each row of an entry is exactly one step after the row before it."""
    previous = np.empty_like(times)
    previous[1:] = times[:-1]
    previous[batch.starts] = last_times_us
    known = (previous != NO_TIME) & (times != NO_TIME)
    is_next = ~known
    # A row without a time, after rows with one, has nothing to be held against; and the other way round.
    in_order = known & (times > previous)
    is_next[in_order] = frequency.steps_between(previous[in_order], times[in_order]) == 1
    return cast(Mask, np.logical_and.reduceat(is_next, batch.starts))


def _plain_groups(batch: Batch, entries: Integers | None) -> list[Group]:
    """Entries (None for all) by number of rows and kind of reply, rows as they came."""
    num_features = batch.values.shape[1]
    lengths, replies = batch.lengths, batch.replies
    if entries is not None:
        lengths, replies = lengths[entries], replies[entries]
    if not len(lengths):
        return []
    if entries is None and (uniform := _uniform(batch)) is not None:
        return [uniform]
    everything = np.arange(len(batch)) if entries is None else entries
    groups = []
    keys = lengths * len(Reply) + replies
    for key in np.unique(keys):
        members = everything[keys == key]
        length, reply = divmod(int(key), len(Reply))
        index = row_indices(batch.starts[members], batch.lengths[members])
        rows = batch.values[index].reshape(len(members), length, num_features)
        groups.append(Group(members, rows, Reply(reply)))
    return groups


def _uniform(batch: Batch) -> Group | None:
    """The whole batch as one group, rows not copied, where all entries are alike."""
    n, num_rows = len(batch), len(batch.values)
    first = int(batch.lengths[0])
    if first * n != num_rows or (n != num_rows and (batch.lengths != first).any()):
        return None
    reply = batch.replies[0]
    if len(batch.parts) > 1 and (batch.replies != reply).any():
        return None
    rows = batch.values.reshape(n, first, batch.values.shape[1])
    return Group(None, rows, Reply(int(reply)))


def _plan_odd(
    batch: Batch,
    entries: Integers,
    committed: Integers,
    last_times_us: Integers,
    frequency: Frequency,
    limits: StepLimits,
    result: BatchPlan,
) -> None:
    """The entries with duplicates, late rows, gaps or conflicts, one by one, into `result`."""
    groups: dict[tuple[int, int], list[tuple[int, Plan]]] = {}
    standing = []
    for entry in entries.tolist():
        rows = batch.rows(entry)
        times = None if batch.times_us is None else batch.times_us[rows]
        # The times of an entry are all given or all missing.
        times = None if times is None or times[0] == NO_TIME else times
        position, consumed = int(batch.positions[entry]), int(committed[entry])
        try:
            planned = plan(
                batch.values[rows], times, position, consumed, int(last_times_us[entry]), frequency, limits
            )
        except StatecastError as error:
            result.refused[entry] = error
            continue
        result.positions[entry] = planned.position
        if result.last_times_us is not None:
            result.last_times_us[entry] = planned.last_time_us
        assert result.counts is not None
        result.counts[:, entry] = planned.num_skipped, planned.num_late, planned.num_missing_steps
        if len(planned.rows):
            key = (len(planned.rows), int(batch.replies[entry]))
            groups.setdefault(key, []).append((entry, planned))
        else:
            standing.append(entry)
    result.standing = np.array(standing, np.int64)
    for (_, reply), members in groups.items():
        stacked = np.stack([planned.rows for _, planned in members])
        numbers = np.array([entry for entry, _ in members])
        result.groups.append(Group(numbers, stacked, Reply(reply), [planned for _, planned in members]))
