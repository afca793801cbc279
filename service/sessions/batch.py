"""A batch: entries of many frames, at most one a session, joined into columns."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.engine.arena import Slots
from service.engine.runner import Reply, Rows
from service.sessions.frame import NO_POSITION, Frame, Integers
from service.store.contract import NO_TIME


@dataclass(eq=False, slots=True)
class Part:
    """Entries of one frame that wait or run together.

    Attributes:
        entries: (n,) which of the frame's, or None for all of them.
        offset: rows of a history (a single entry) that came in earlier batches.
        num_rows: rows of a history that come now, or None for all that are left.
        root: of a slice, the history that waits.
    """

    frame: Frame
    entries: Integers | None = None
    offset: int = 0
    num_rows: int | None = None
    root: "Part | None" = None

    def __len__(self) -> int:
        return len(self.frame.slots) if self.entries is None else len(self.entries)

    @property
    def slots(self) -> Slots:
        """(n,) the entries' sessions."""
        return self.frame.slots if self.entries is None else self.frame.slots[self.entries]

    def entry(self, index: int) -> int:
        """The number in its frame of the part's entry `index`."""
        return index if self.entries is None else int(self.entries[index])

    def only(self, mask: npt.NDArray[np.bool_]) -> "Part":
        """The entries that `mask` (n,) keeps."""
        return Part(self.frame, np.flatnonzero(mask) if self.entries is None else self.entries[mask])

    def slice(self, max_rows: int) -> "Part":
        """The next rows of a history."""
        num_rows = max_rows if self.num_left > max_rows else None
        return Part(self.frame, self.entries, self.offset, num_rows, self)

    @property
    def num_left(self) -> int:
        """Rows of a history from this part's first on."""
        assert self.entries is not None
        return int(self.frame.lengths[self.entries[0]]) - self.offset

    @property
    def is_last(self) -> bool:
        """Whether the entries end with the rows that come now."""
        return self.num_rows is None


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """N entries, R rows, F features; the columns of `Frame`, and where each entry came from.

    Attributes:
        parts: in order; their entries, one after the other, are the batch's.
        bounds: (P + 1,) where each part begins.
        starts: (N,) each entry's first row.
        replies: (N,) `Reply` of each entry, for the rows that come now.
    """

    parts: list[Part]
    bounds: Integers
    slots: Slots
    lengths: Integers
    starts: Integers
    positions: Integers
    times_us: Integers | None
    values: Rows
    replies: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.slots)

    def spans(self) -> Iterator[tuple[Part, slice]]:
        """Each part, and where its entries lie in the batch."""
        for part, (start, stop) in zip(self.parts, itertools.pairwise(self.bounds.tolist()), strict=True):
            yield part, slice(start, stop)

    def rows(self, entry: int) -> slice:
        """Where an entry's rows lie."""
        return slice(int(self.starts[entry]), int(self.starts[entry] + self.lengths[entry]))


def join(parts: list[Part]) -> Batch:
    """Columns of all parts, one after the other."""
    if len(parts) == 1 and parts[0].entries is None:
        return _alone(parts[0])
    columns = [_columns(part) for part in parts]
    slots, lengths, positions, values, times = zip(*columns, strict=True)
    sizes = np.fromiter((len(part) for part in parts), np.int64, len(parts))
    all_lengths = _joined(lengths)
    replies = np.fromiter((_reply(part) for part in parts), np.int8, len(parts))
    return Batch(
        parts=parts,
        bounds=np.concatenate([[0], np.cumsum(sizes)]),
        slots=_joined(slots),
        lengths=all_lengths,
        starts=starts_of(all_lengths),
        positions=_joined(positions),
        times_us=_joined_times(times, values),
        values=_joined(values),
        replies=np.repeat(replies, sizes),
    )


def _alone(part: Part) -> Batch:
    """A whole frame's columns, as they are."""
    frame, n = part.frame, len(part.frame.slots)
    starts = np.arange(n) if frame.is_single_rows else starts_of(frame.lengths)
    return Batch(
        parts=[part],
        bounds=np.array([0, n]),
        slots=frame.slots,
        lengths=frame.lengths,
        starts=starts,
        positions=frame.positions,
        times_us=frame.times_us,
        values=frame.values,
        replies=np.full(n, frame.reply.scored if frame.is_scored else frame.reply, np.int8),
    )


def starts_of(lengths: Integers) -> Integers:
    """Where each run of rows begins, the runs lying one after the other."""
    starts: Integers = np.cumsum(lengths) - lengths
    return starts


def row_indices(starts: Integers, lengths: Integers) -> Integers:
    """The rows of runs [start, start + length), one run after the other."""
    ends = np.cumsum(lengths)
    within = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - lengths, lengths)
    return np.repeat(starts, lengths) + within


def _reply(part: Part) -> Reply:
    """A history's last forecast comes with its last rows."""
    reply = part.frame.reply
    reply = Reply.NONE if reply is Reply.LAST and not part.is_last else reply
    return reply.scored if part.frame.is_scored else reply


def _columns(part: Part) -> tuple[Slots, Integers, Integers, Rows, Integers | None]:
    frame = part.frame
    if part.entries is None:
        return frame.slots, frame.lengths, frame.positions, frame.values, frame.times_us
    lengths, positions = frame.lengths[part.entries], frame.positions[part.entries]
    starts = starts_of(frame.lengths)[part.entries]
    if part.offset or not part.is_last:
        left = lengths - part.offset
        lengths = left if part.num_rows is None else np.minimum(left, part.num_rows)
        starts = starts + part.offset
        positions = np.where(positions == NO_POSITION, NO_POSITION, positions + part.offset)
    rows = row_indices(starts, lengths)
    times = None if frame.times_us is None else frame.times_us[rows]
    return part.slots, lengths, positions, frame.values[rows], times


def _joined(columns: "tuple[np.ndarray, ...]") -> "np.ndarray":
    return columns[0] if len(columns) == 1 else np.concatenate(columns)


def _joined_times(times: "tuple[Integers | None, ...]", values: "tuple[Rows, ...]") -> Integers | None:
    if all(column is None for column in times):
        return None
    return np.concatenate(
        [
            np.full(len(rows), NO_TIME, np.int64) if column is None else column
            for column, rows in zip(times, values, strict=True)
        ]
    )
