"""Finds an order of rows and deletions that explains what a session's callers were told.

Entries of a session settle in the order in which they were sent. A deletion comes between two of them,
or between two slices of a history; in which place, its answer tells.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from service.errors import DeadlinePassed, EngineFailure, PositionConflict, TooManySessions, UnknownSession
from service.sessions.info import SessionInfo
from tests.property.engine_sent import Sent
from tests.property.engine_truth import Conflict, Progress, Series

# What a deletion is answered with: the session as it stood, or that there was none.
Deletion = SessionInfo | UnknownSession
# An entry that has settled, and how far it came; or one that has not.
Told = tuple[Sent, Progress]


@dataclass(frozen=True)
class Heard:
    """What a session's callers have heard, and how the session's table has it.

    Attributes:
        settled: entries that were answered, in order.
        head: the entry behind them that still waits, or None.
        deletions: answers to deletions, in order.
        stands: position and last time.
        epoch: the clock's.
    """

    settled: tuple[Sent, ...]
    head: Sent | None
    deletions: tuple[Deletion, ...]
    stands: tuple[int, int | None]
    epoch: int


@dataclass(frozen=True)
class Story:
    """One explanation.

    Attributes:
        series: the session now.
        told: what each settled entry did.
        head_progress: how far the entry behind them is known to be.
        lives: the session as it stood in between.
    """

    series: Series
    told: tuple[Told, ...]
    head_progress: Progress
    lives: tuple[Series, ...]


def explain(series: Series, progress: Progress, heard: Heard) -> Story | None:
    """The first story that agrees with everything heard; None where there is none.

    Args:
        series: the session as it was known to stand.
        progress: how far its first entry is known to be.
    """
    return next(_stories(series, progress, heard), None)


def _stories(series: Series, progress: Progress, heard: Heard) -> Iterator[Story]:
    waiting = heard.settled[0] if heard.settled else heard.head
    if waiting is None and series.used_in < heard.epoch:
        series = Series()
    if not heard.settled and not heard.deletions and heard.stands == series.stands:
        yield Story(series, (), progress, ())
    if heard.deletions:
        for before, come in _before_deletion(series, progress, waiting, heard):
            ended = isinstance(heard.deletions[0], SessionInfo)
            after = Series() if ended else before
            for story in _stories(after, come, replace(heard, deletions=heard.deletions[1:])):
                yield replace(story, lives=(before, *story.lives))
    if heard.settled:
        sent, rest = heard.settled[0], replace(heard, settled=heard.settled[1:])
        for after, come in _settlements(series, progress, sent, heard.epoch):
            for story in _stories(after, Progress(), rest):
                yield replace(story, told=((sent, come), *story.told), lives=(after, *story.lives))


def _before_deletion(
    series: Series, progress: Progress, waiting: Sent | None, heard: Heard
) -> Iterator[tuple[Series, Progress]]:
    """The session as the first deletion may have met it, and how far its first entry was."""
    deletion = heard.deletions[0]
    if isinstance(deletion, UnknownSession):
        if not series.is_open:
            yield series, progress
        return
    met = (deletion.position, deletion.last_time_us)
    for before, come in ((series, progress), *_prefixes(series, progress, waiting, heard.epoch)):
        # Slices whose rows were skipped have moved the session nowhere, but are counted.
        is_counted = heard.settled or waiting is None or come.counts == waiting.said_counts
        if before.is_open and before.stands == met and is_counted:
            yield before, come


def _prefixes(
    series: Series, progress: Progress, sent: Sent | None, epoch: int
) -> Iterator[tuple[Series, Progress]]:
    """The session after some, but not all, of an entry's rows that are left."""
    for stop in range(progress.num_rows + 1, 0 if sent is None else len(sent.values)):
        try:
            yield series.consume(sent, progress, stop, epoch)
        except Conflict:
            return


def _settlements(
    series: Series, progress: Progress, sent: Sent, epoch: int
) -> Iterator[tuple[Series, Progress]]:
    """The session after an entry, in each way that its result allows."""
    error, position = sent.error, sent.said_position
    if sent.frozen_at is not None and position != sent.frozen_at:
        return
    if isinstance(error, EngineFailure):
        # A history that fails stands where some slice of it ended, and everything else where it stood.
        if position == -1 and sent.frozen_at is None:
            yield series, progress
            yield from _prefixes(series, progress, sent, epoch)
    elif isinstance(error, TooManySessions):
        if position == -1 and not series.is_open:
            yield series, progress
    elif isinstance(error, PositionConflict):
        if position == -1 and _is_right(error, series, progress, sent):
            yield series, progress
    elif error is None and not sent.is_dropped:
        yield from _whole(series, progress, sent, epoch)
    elif sent.is_dropped or (sent.is_overdue and isinstance(error, DeadlinePassed)):
        # What had run when it was left to itself stays.
        if position == -1 or progress.num_rows:
            yield series, progress
        if position != -1:
            yield from (p for p in _prefixes(series, progress, sent, epoch) if p[0].position == position)
        if error is None and sent.frozen_at is None:
            yield from _whole(series, progress, sent, epoch)


def _whole(series: Series, progress: Progress, sent: Sent, epoch: int) -> Iterator[tuple[Series, Progress]]:
    """The session after all of an entry's rows, where its result says so."""
    try:
        after, come = series.consume(sent, progress, len(sent.values), epoch)
    except Conflict:
        return
    if sent.said_position == after.position and come.counts == sent.said_counts:
        yield after, come


def _is_right(error: PositionConflict, series: Series, progress: Progress, sent: Sent) -> bool:
    if sent.position is None:
        return False
    return error.found == sent.position + progress.num_rows > series.position == error.committed
