"""Single rows of many calls, joined to one frame for each batch."""

import math
from collections.abc import Sequence

import numpy as np

from service.engine.runner import Forecasts, Reply
from service.errors import DeadlinePassed, EngineFailure, StatecastError
from service.sessions.frame import Frame, FrameResult
from service.sessions.worker import SessionWorker
from service.store.contract import NO_TIME

_NO_COUNTS = (0, 0, 0)


class SingleRow:
    """A checked row of one call. Subclasses say what its outcome becomes.

    Attributes:
        slot: from `table.resolve`, with nothing awaited before the row is added.
        position: rows consumed before it, or NO_POSITION.
        time_us: microseconds since 1970-01-01 UTC, or NO_TIME.
        values: W numbers, as the graph reads them.
        reply: NONE or LAST.
        deadline_s: on the worker's clock.
        is_dropped: nobody waits any more; it is not applied where its batch has not begun.
    """

    __slots__ = (
        "deadline_s",
        "entry",
        "frame",
        "is_dropped",
        "position",
        "reply",
        "slot",
        "time_us",
        "values",
    )

    def __init__(
        self,
        slot: int,
        position: int,
        time_us: int,
        values: Sequence[float],
        reply: Reply,
        deadline_s: float = math.inf,
    ) -> None:
        self.slot, self.position, self.time_us, self.values = slot, position, time_us, values
        self.reply, self.deadline_s = reply, deadline_s
        self.frame: Frame | None = None
        self.entry = 0
        self.is_dropped = False

    def settled(self, position: int, forecast: bytes | None, counts: Sequence[int]) -> None:
        """It was applied, or had been before.

        Args:
            position: rows consumed now.
            forecast: (K, Q) float32 as they lie, None for Reply.NONE.
            counts: as `COUNTS` names them.
        """
        raise NotImplementedError

    def refused(self, error: StatecastError) -> None:
        """Its session stands as before."""
        raise NotImplementedError

    def drop(self) -> None:
        """Nobody waits any more."""
        self.is_dropped = True
        if self.frame is not None:
            self.frame.drop_entry(self.entry)


class SingleRows:
    """Collects the rows that arrive until the worker takes a batch, and submits them as one frame.

    A row whose session has others waiting goes alone, after those: the answers of one frame come
    together, and none of them should wait for another session's turn.
    """

    def __init__(self, worker: SessionWorker) -> None:
        self._worker = worker
        self._waiting: dict[Reply, list[SingleRow]] = {Reply.NONE: [], Reply.LAST: []}
        self._num_waiting = 0
        self._arrived_s = math.nan
        worker.collect_from(self.take_turn)

    def check_room(self) -> None:
        """Admission, before the row's session is given a slot.

        Raises:
            QueueFull: too many rows wait already.
        """
        self._worker.check_room(1, self._num_waiting)

    def add(self, row: SingleRow) -> None:
        """Take one row."""
        table = self._worker.table
        is_behind = table.num_waiting.item(row.slot)
        # From here on its slot is its session's, whatever else comes before its batch.
        table.hold(row.slot)
        if is_behind:
            self.flush()
            self._submit([row], row.reply, self._worker.now_s)
            return
        if not self._num_waiting:
            self._arrived_s = self._worker.now_s
        self._num_waiting += 1
        self._waiting[row.reply].append(row)
        self._worker.wake()

    def take_turn(self) -> None:
        """A batch is about to be taken: submit what was collected, or apply it where it is one row."""
        if self._num_waiting == 1 and self._worker.is_idle:
            (row,) = self._waiting[Reply.LAST] or self._waiting[Reply.NONE]
            if not row.is_dropped and self._advance(row):
                self._num_waiting = 0
                self._waiting[row.reply].clear()
                return
        self.flush()

    def flush(self) -> None:
        """Submit what was collected, before something else is."""
        self._num_waiting = 0
        for reply, rows in self._waiting.items():
            if rows:
                self._waiting[reply] = []
                self._submit(rows, reply, self._arrived_s)

    def _advance(self, row: SingleRow) -> bool:
        """Apply a row by itself; False where it needs a frame."""
        worker = self._worker
        if row.deadline_s < worker.now_s:
            return False
        try:
            advanced = worker.advance(
                row.slot, row.position, row.time_us, row.values, row.reply, self._arrived_s
            )
        except EngineFailure as error:
            worker.table.settle(np.array([row.slot]))
            row.refused(error)
            return True
        if advanced is None:
            return False
        worker.table.num_waiting[row.slot] -= 1
        forecasts = advanced.forecasts
        row.settled(advanced.position, None if forecasts is None else forecasts.tobytes(), _NO_COUNTS)
        return True

    def _submit(self, rows: list[SingleRow], reply: Reply, arrived_s: float) -> None:
        num_rows = len(rows)
        times = np.array([row.time_us for row in rows], np.int64)
        frame = Frame(
            np.array([row.slot for row in rows], np.int64),
            np.ones(num_rows, np.int64),
            np.array([row.position for row in rows], np.int64),
            times if (times != NO_TIME).any() else None,
            np.array([row.values for row in rows], np.float64),
            reply,
            lambda frame: _settle(rows, frame.result),
            max(row.deadline_s for row in rows),
            arrived_s,
        )
        now_s = self._worker.now_s
        for entry, row in enumerate(rows):
            row.frame, row.entry = frame, entry
            is_late = row.deadline_s < now_s
            if is_late:
                frame.result.errors[entry] = DeadlinePassed()
                self._worker.counts.rows_refused += 1
            if is_late or row.is_dropped:
                frame.drop_entry(entry)
        self._worker.enqueue(frame)


def _settle(rows: list[SingleRow], result: FrameResult) -> None:
    """Tell each row's outcome."""
    positions = result.positions.tolist()
    forecasts, size = _bytes(result.dense, len(rows))
    for entry, row in enumerate(rows):
        if row.is_dropped:
            continue
        error = result.errors.get(entry) if result.errors else None
        if error is not None:
            row.refused(error)
            continue
        forecast = forecasts[entry * size : (entry + 1) * size] if row.reply is Reply.LAST else None
        counts = result.counts[:, entry].tolist() if result.has_counts else _NO_COUNTS
        row.settled(positions[entry], forecast, counts)


def _bytes(dense: Forecasts | None, num_rows: int) -> tuple[bytes, int]:
    """All forecasts as they lie, and the bytes of each."""
    if dense is None:
        return b"", 0
    content = dense.tobytes()
    return content, len(content) // num_rows
