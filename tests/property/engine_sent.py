"""Entries of frames: before they are sent, and once they were."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from service.engine.runner import Reply
from service.errors import StatecastError
from service.sessions.frame import NO_POSITION, Frame
from service.store.table import NO_TIME
from tests.property.forecasters import Array


@dataclass(frozen=True, eq=False)
class Draft:
    """An entry before its session has a slot: `values` (T, F), `times_us` (T,) or None."""

    name: str
    values: Array
    times_us: Array | None = None
    position: int | None = None


@dataclass(eq=False)
class Sent:
    """One entry of a frame, as it was sent.

    Attributes:
        position: rows consumed before the first row, or None.
        is_dropped: whether nobody waits for it.
        is_overdue: whether its deadline has passed.
        frozen_at: where no more of it may be applied for either of these: the position in its result.
    """

    draft: Draft
    slot: int
    frame: Frame
    index: int
    is_dropped: bool = False
    is_overdue: bool = False
    frozen_at: int | None = None

    def __post_init__(self) -> None:
        self.name, self.values = self.draft.name, self.draft.values
        self.times_us, self.position = self.draft.times_us, self.draft.position
        self.reply = self.frame.reply

    @property
    def error(self) -> StatecastError | None:
        """Why it was refused, once it is settled."""
        return self.frame.result.errors.get(self.index)

    @property
    def said_position(self) -> int:
        """The position in its result."""
        return int(self.frame.result.positions[self.index])

    @property
    def said_counts(self) -> tuple[int, ...]:
        """The counts in its result."""
        return tuple(self.frame.result.counts[:, self.index].tolist())

    def freeze(self, may_run: bool) -> None:
        """No more of it may be applied, but where it may be in a run that is under way."""
        if not may_run and self.frozen_at is None:
            self.frozen_at = self.said_position

    def __repr__(self) -> str:
        timed = "untimed" if self.times_us is None else "timed"
        dropped = ", dropped" * self.is_dropped + ", overdue" * self.is_overdue
        said = repr(self.error or f"position {self.said_position}, counts {self.said_counts}")
        return f"<{len(self.values)} {timed} rows at {self.position}, {self.reply.name}{dropped}: {said}>"


def columns(
    drafts: list[Draft], slots: dict[str, int], reply: Reply, done: Callable[[Frame], None], deadline_s: float
) -> Frame:
    """A frame of entries; those without times carry NO_TIME where others have them."""
    times = [np.full(len(d.values), NO_TIME) if d.times_us is None else d.times_us for d in drafts]
    return Frame(
        slots=np.array([slots[draft.name] for draft in drafts], np.int64),
        lengths=np.array([len(draft.values) for draft in drafts], np.int64),
        positions=np.array([NO_POSITION if d.position is None else d.position for d in drafts], np.int64),
        times_us=None if all(draft.times_us is None for draft in drafts) else np.concatenate(times),
        values=np.concatenate([draft.values for draft in drafts]),
        reply=reply,
        done=done,
        deadline_s=deadline_s,
    )
