"""What every session must be by what its callers were told, and what they must have been told."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from service.engine.arena import States
from service.engine.runner import Reply
from service.errors import EngineFailure
from service.sessions.frame import Frame
from tests.property.engine_explain import Deletion, Heard, Told, explain
from tests.property.engine_sent import Sent
from tests.property.engine_truth import Mark, Progress, Series, Truth
from tests.property.forecasters import Array


class Ledger:
    """The truth about the sessions of one worker, by name.

    Attributes:
        seen: what has happened, so that a test can tell that it did.
        waiting: entries that are not answered, in order; names without any are left out.
    """

    def __init__(self, truth: Truth) -> None:
        self.seen: Counter[str] = Counter()
        self.waiting: dict[str, list[Sent]] = {}
        self._truth = truth
        self._known: dict[str, Series] = {}
        # How far the first entry that waits is known to be.
        self._progress: dict[str, Progress] = defaultdict(Progress)
        self._epoch = 0
        # By life: its steps, and the forecasts that were made of them.
        self._steps: dict[object, Array] = {}
        self._found: dict[object, list[tuple[Mark, Array]]] = defaultdict(list)

    def standing(self, name: str) -> Series:
        """The session as it stands; rows that wait are not in it."""
        series = self._known.get(name) or Series()
        is_over = name not in self.waiting and series.used_in < self._epoch
        return Series() if is_over else series

    def open_names(self) -> list[str]:
        """Sessions that callers can read."""
        return sorted(name for name in self._known if self.standing(name).is_open)

    def over_names(self) -> list[str]:
        """Sessions that were there, or were named, and are not."""
        return sorted(name for name in self._known if not self.standing(name).is_open)

    def counted_names(self) -> set[str]:
        """Sessions that may count as there: those whose time to live is over may be found out later."""
        return {name for name, series in self._known.items() if series.is_open or name in self.waiting}

    def num_waiting_rows(self) -> int:
        """Rows of entries that are not answered, those included that slices have applied."""
        return sum(len(sent.values) for waiting in self.waiting.values() for sent in waiting)

    def next_position(self, name: str) -> int:
        """Where the next row goes if everything that waits is applied."""
        return self.standing(name).position + sum(len(sent.values) for sent in self.waiting.get(name, []))

    def add(self, sent: Sent) -> None:
        """An entry was submitted: it finds its session as it stands, or begins it."""
        self._known[sent.name] = self.standing(sent.name)
        self.waiting.setdefault(sent.name, []).append(sent)

    def drop(self, frame: Frame, entry: int | None, may_run: bool) -> None:
        """Nobody waits for a frame, or for one entry; `may_run`: whether it may be in a run under way."""
        for sent, is_first in self.all_waiting():
            if sent.frame is frame and entry in (None, sent.index):
                sent.is_dropped = True
                sent.freeze(may_run and is_first)

    def pass_deadlines(self, now_s: float, may_run: bool) -> None:
        """The clock has come to `now_s`."""
        for sent, is_first in self.all_waiting():
            if sent.frame.deadline_s < now_s:
                sent.is_overdue = True
                sent.freeze(may_run and is_first)

    def begin_epoch(self) -> None:
        """The clock went past the time to live: sessions for which nothing waits are over."""
        self.seen["a session expired"] += sum(name not in self.waiting for name in self.open_names())
        self._epoch += 1

    def imported(self, name: str) -> None:
        """A session was put in anew, as it stood: its time to live begins."""
        self._known[name] = replace(self._known[name], used_in=self._epoch)

    def hear(
        self, name: str, num_waiting: int, deletions: Sequence[Deletion], stands: tuple[int, int | None]
    ) -> list[Sent]:
        """All but the last `num_waiting` entries were answered, and so were some deletions.

        Args:
            stands: position and last time in the session's table.

        Returns:
            The entries that were answered.
        """
        waiting = self.waiting.get(name, [])
        num_settled = len(waiting) - num_waiting
        assert num_settled >= 0, f"{name}: {num_waiting} entries wait of {len(waiting)}"
        settled, left = waiting[:num_settled], waiting[num_settled:]
        head = left[0] if left else None
        if not settled and not deletions and head is not None and len(head.values) > 1:
            moved = stands[0] - self._known[name].position
            self.seen["a history in slices"] += 0 < moved < len(head.values)
            return []
        # A turn of the loop has one batch at most, and a batch one entry of a session at most: where
        # others settled or were deleted, the head has not moved.
        heard = Heard(tuple(settled), head, tuple(deletions), stands, self._epoch)
        before, progress = self._known.setdefault(name, Series()), self._progress[name]
        story = explain(before, progress, heard)
        at = f"{name} at {before.stands} + {progress.num_rows} rows"
        assert story, f"nothing explains what {at} was told: {heard}"
        self._known[name], self._progress[name] = story.series, story.head_progress
        self._keep(name, left)
        for series in (*story.lives, story.series):
            if len(series.steps) >= len(self._steps.get(series.life, ())):
                self._steps[series.life] = series.steps
        for told in story.told:
            self._hold_against_reply(told)
        return settled

    def check_forecasts(self) -> None:
        """Hold every forecast that was answered since the last time against ONNX Runtime alone."""
        for life, found in self._found.items():
            self._truth.check_forecasts(self._steps[life], found)
            self.seen["forecasts compared"] += len(found)
        self._found.clear()

    def check_session(self, name: str, stands: tuple[int, int | None], found: States) -> None:
        """Hold an open session and its state, each (*shape), against its rows and ONNX Runtime alone."""
        assert stands == self.standing(name).stands, name
        self._truth.check_state(self._known[name].steps, found)

    def all_waiting(self) -> Iterator[tuple[Sent, bool]]:
        """Every entry that waits, and whether it is its session's first: no other can be in a run."""
        for waiting in self.waiting.values():
            for sent in waiting:
                yield sent, sent is waiting[0]

    def _keep(self, name: str, left: list[Sent]) -> None:
        if left:
            self.waiting[name] = left
        else:
            self.waiting.pop(name, None)
            self._progress.pop(name, None)

    def _hold_against_reply(self, told: Told) -> None:
        """An answered entry has the forecasts it asked for, made at the right positions."""
        sent, progress = told
        self._note(sent, progress)
        if sent.error is not None or sent.is_dropped:
            return
        assert sent.frame.result.has_counts or not any(progress.counts)
        for mark, forecast in _forecasts(told):
            self._found[mark.life].append((mark, forecast))

    def _note(self, sent: Sent, progress: Progress) -> None:
        if sent.error is not None:
            self.seen[type(sent.error).__name__] += 1
        elif sent.frozen_at is not None:
            self.seen["an entry dropped before it ran"] += 1
        if isinstance(sent.error, EngineFailure) and progress.num_rows:
            self.seen["a history failed between slices"] += 1
        for name, count in zip(("skipped", "late", "missing"), progress.counts, strict=True):
            self.seen[name] += count


def _forecasts(told: Told) -> Iterator[tuple[Mark, Array]]:
    """Each forecast (K, Q) of an applied entry, with what it must be of."""
    sent, progress = told
    result, index = sent.frame.result, sent.index
    if sent.reply is Reply.EACH:
        found = np.concatenate(result.forecasts[index])
        positions = np.concatenate(result.forecast_positions[index]).tolist()
        marks = progress.marks or (progress.last,)
        assert positions == [mark.position for mark in marks], f"{sent}: forecasts made at {positions}"
        assert len(found) == len(marks)
        yield from zip(marks, found, strict=True)
        return
    assert index not in result.forecasts
    if sent.reply is Reply.LAST:
        yield progress.last, result.dense[index].copy()
    else:
        assert result.dense is None
