"""Who is told of the rows of single sessions. Where nobody is, a batch pays for one look at an empty dict."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from service.clock import Clock
from service.engine.model import ServedModel
from service.engine.runner import Forecasts, Rows
from service.errors import TooManyWatches
from service.sessions.batch import Batch
from service.sessions.info import SessionEvent, SessionInfo
from service.sessions.plan import BatchPlan
from service.sessions.residency import Residency
from service.sessions.watched import Watched, index_in
from service.store.contract import NO_TIME
from service.tenant import tenant_of

# Sessions of one model that are watched, of each tenant and in all: each batch looks for every one of them.
MAX_OF_EACH, MAX_WATCHES = 64, 256
# So much earlier than its pace says a row is told, where the ones before it were far apart.
_AHEAD_S = 0.2
# A row that was not due is told so long after it might have been. Of a stream that goes on, a batch has told
# the next one before: at no turn of its own.
_LULL_S = 0.1


@dataclass(frozen=True, eq=False, slots=True)
class ToldRow:
    """A row that a session took.

    Attributes:
        position: rows consumed, this one counted in.
        time_us: or None.
        values: (F,) float64, NaN where missing.
        forecast: (K, Q) float32 after it.
        score: quantile position and tail probability, or None.
        num_skipped: rows taken between the one told before and this one.
        num_missing: missing steps since the one told before.
        model: the version that the session was on.
    """

    position: int
    time_us: int | None
    values: Rows
    forecast: Forecasts
    score: tuple[float, float] | None
    num_skipped: int
    num_missing: int
    model: ServedModel


class Listener(Protocol):
    """Is told on the event loop, and must not wait."""

    def row(self, row: ToldRow) -> None:
        """The session took a row."""

    def event(self, event: SessionEvent, info: SessionInfo) -> None:
        """Something happened to it beside its rows."""


class RowWatch:
    """One listener, told at its own pace."""

    def __init__(self, listener: Listener, max_rows_per_s: float, clock: Clock) -> None:
        self.listener = listener
        self._every_s, self._clock = 1 / max_rows_per_s, clock
        self._next_s = float("-inf")
        self._num_taken = self._num_missing = 0
        # The last row that stepped and was not told.
        self.owed: Watched | None = None
        # Rows consumed when it was last told of any, late ones too.
        self.position = 0

    @property
    def wait_s(self) -> float:
        """Until the next row may be told; 0 or less where it may be now."""
        return self._next_s - max(_AHEAD_S - self._every_s, 0.0) - self._clock.monotonic_s()

    def took(self, watched: Watched) -> bool:
        """The session took rows. Returns whether the last of them is still to be told."""
        self.position = watched.position
        self._num_taken += watched.num_consumed
        self._num_missing += watched.num_missing
        if watched.steps is None:
            return self.owed is not None
        self.owed = watched
        if watched.forecast is None or self.wait_s > 0:
            return True
        self.tell(watched, watched.forecast)
        return False

    def tell(self, watched: Watched, forecast: Forecasts) -> None:
        """Tell a row: the last that the session took, late ones aside."""
        time_us = None if watched.time_us == NO_TIME else watched.time_us
        num_skipped = max(self._num_taken - 1, 0)
        row = ToldRow(
            watched.position, time_us, watched.values, forecast, watched.score,
            num_skipped, self._num_missing, watched.model,
        )  # fmt: skip
        self._next_s = max(self._next_s, self._clock.monotonic_s()) + self._every_s
        self.forget()
        self.listener.row(row)

    def forget(self) -> None:
        """What was counted is told, or was another session's."""
        self._num_taken = self._num_missing = 0
        self.owed = None


class RowWatches:
    """The watches of one model's sessions, by session.

    Attributes:
        by_session: changed between runs and during them; runs do not look.
    """

    def __init__(
        self,
        residency: Residency,
        clock: Clock,
        between: Callable[[Callable[[], Coroutine[Any, Any, None]]], Coroutine[Any, Any, None]],
    ) -> None:
        """`between` is `SessionWorker.between_batches`."""
        self._residency, self._clock, self._between = residency, clock, between
        self.by_session: dict[str, list[RowWatch]] = {}
        self._unsubscribe: Callable[[], None] | None = None
        # By session, what tells rows that were owed when nothing has come since.
        self._owing: dict[str, asyncio.TimerHandle] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def open(self, session_id: str, max_rows_per_s: float, listener: Listener) -> Callable[[], None]:
        """Tell a listener of a session's rows from now on; returns what ends that.

        Raises:
            TooManyWatches: there is no room for another.
        """
        watches = [each for every in self.by_session.values() for each in every]
        own = tenant_of(session_id)
        of_tenant = sum(len(each) for key, each in self.by_session.items() if tenant_of(key) == own)
        if len(watches) >= MAX_WATCHES or of_tenant >= MAX_OF_EACH:
            raise TooManyWatches(MAX_OF_EACH)
        watch = RowWatch(listener, max_rows_per_s, self._clock)
        self.by_session.setdefault(session_id, []).append(watch)
        if self._unsubscribe is None:
            self._unsubscribe = self._residency.subscribe(self._happened)
        return lambda: self._close(session_id, watch)

    def is_watched(self, slot: int) -> bool:
        """Whether the session of a slot is."""
        return self._residency.table.session_id(slot) in self.by_session

    def look(self, batch: Batch, planned: BatchPlan) -> list[Watched]:
        """The entries of a batch whose sessions are watched."""
        slot_or_none = self._residency.table.slot_or_none
        slots = {slot: key for key in self.by_session if (slot := slot_or_none(key)) is not None}
        if not slots:
            return []
        if len(slots) == 1:
            is_watched = batch.slots == next(iter(slots))
        else:
            is_watched = np.isin(batch.slots, np.array(list(slots), np.int64))
        # Most batches have none of them.
        (found,) = is_watched.nonzero()
        return [
            self._watched(batch, planned, entry, slots[batch.slots.item(entry)])
            for entry in found.tolist()
            if entry not in planned.refused
        ]

    def _watched(self, batch: Batch, planned: BatchPlan, entry: int, session_id: str) -> Watched:
        table, slot = self._residency.table, batch.slots.item(entry)
        position = planned.positions.item(entry)
        steps = None
        for group in planned.groups:
            index = index_in(group, entry)
            if index is not None:
                steps = group.rows[index : index + 1]
        return Watched(
            session_id,
            entry,
            slot,
            self._residency.versions[table.versions.item(slot)].model,
            position - table.positions.item(slot),
            0 if planned.counts is None else planned.counts.item(2, entry),
            position,
            NO_TIME if planned.last_times_us is None else planned.last_times_us.item(entry),
            steps,
            any(watch.wait_s <= 0 for watch in self.by_session[session_id]),
        )

    def committed(self, planned: BatchPlan) -> None:
        """A batch stands: what is due of it is told."""
        for each in planned.watched:
            if each.entry in planned.refused:
                continue
            each.trim()
            for watch in self.by_session.get(each.session_id, ()):
                if watch.took(each):
                    self._owe(each.session_id, watch.wait_s)

    def _owe(self, session_id: str, wait_s: float) -> None:
        """See that a row is told although no further one comes."""
        if session_id not in self._owing:
            loop = asyncio.get_running_loop()
            self._owing[session_id] = loop.call_later(max(wait_s, 0.0) + _LULL_S, self._pay, session_id)

    def _pay(self, session_id: str) -> None:
        del self._owing[session_id]
        waits_s = [watch.wait_s for watch in self.by_session[session_id] if watch.owed]
        if not waits_s:
            return
        if min(waits_s) > 0:
            self._owe(session_id, min(waits_s))
            return
        task = asyncio.get_running_loop().create_task(self.tell_owed(session_id))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def tell_owed(self, session_id: str) -> None:
        """Tell the last row, where that is still owed to somebody."""
        if not any(watch.owed for watch in self.by_session.get(session_id, ())):
            return

        async def tell() -> None:
            slot = self._residency.table.slot_or_none(session_id)
            for watch in self.by_session.get(session_id, ()):
                if watch.owed is None:
                    continue
                if slot is None or not self._stands(slot, watch, watch.owed):
                    watch.owed = None
                elif watch.wait_s > 0:
                    self._owe(session_id, watch.wait_s)
                else:
                    forecast = watch.owed.forecast
                    if forecast is None:
                        forecast = watch.owed.model.runner.read_out(np.array([slot], np.int64))[0]
                    watch.tell(watch.owed, forecast)

        await self._between(tell)

    def _stands(self, slot: int, watch: RowWatch, owed: Watched) -> bool:
        """Whether a session is as it was after its last row: not another's state, nor another version's."""
        model = self._residency.versions[int(self._residency.table.versions[slot])].model
        return self._residency.table.positions.item(slot) == watch.position and model is owed.model

    def _happened(self, event: SessionEvent, info: SessionInfo) -> None:
        for watch in self.by_session.get(info.session_id, ()):
            if event in (SessionEvent.RESET, SessionEvent.DELETED, SessionEvent.EXPIRED):
                watch.forget()
            watch.listener.event(event, info)

    def _close(self, session_id: str, watch: RowWatch) -> None:
        watches = self.by_session[session_id]
        watches.remove(watch)
        if not watches:
            del self.by_session[session_id]
            if session_id in self._owing:
                self._owing.pop(session_id).cancel()
        if not self.by_session and self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
