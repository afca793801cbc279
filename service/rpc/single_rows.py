"""Single rows of many calls, joined to one frame for each turn of the event loop."""

from collections.abc import Callable

import numpy as np

from service.engine.runner import Reply
from service.sessions.frame import Frame, FrameResult
from service.sessions.worker import SessionWorker
from service.store.table import NO_TIME
from statecast import columns


class SingleRow:
    """A checked row of one call, and what became of it.

    Attributes:
        slot: from `table.resolve`, with nothing awaited before it is added.
        position: rows consumed before it, or NO_POSITION.
        time_us: microseconds since 1970-01-01 UTC, or NO_TIME.
        values: F little-endian float64.
        settled: called once, when `result` holds the outcome at place `entry`.
    """

    __slots__ = ("entry", "frame", "is_dropped", "position", "settled", "slot", "time_us", "values")

    def __init__(
        self, slot: int, position: int, time_us: int, values: bytes, settled: Callable[[], None]
    ) -> None:
        self.slot, self.position, self.time_us, self.values = slot, position, time_us, values
        self.settled = settled
        self.frame: Frame | None = None
        self.entry = 0
        self.is_dropped = False

    @property
    def result(self) -> FrameResult:
        """Where the outcome stands, once settled."""
        assert self.frame is not None
        return self.frame.result

    def drop(self) -> None:
        """Nobody waits any more: it is not applied where its batch has not begun."""
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
        worker.collect_from(self.flush)

    def check_room(self) -> None:
        """Admission, before the row's session is given a slot.

        Raises:
            QueueFull: too many rows wait already.
        """
        self._worker.check_room(1 + self._num_waiting)

    def add(self, row: SingleRow, reply: Reply) -> None:
        """Take one row; `reply` is NONE or LAST."""
        is_behind = self._worker.table.num_waiting[row.slot]
        # From here on its slot is its session's, whatever else this turn of the loop brings.
        self._worker.table.hold(row.slot)
        if is_behind:
            self.flush()
            self._submit([row], reply)
            return
        if not self._num_waiting:
            self._worker.wake()
        self._num_waiting += 1
        self._waiting[reply].append(row)

    def flush(self) -> None:
        """Submit what was collected."""
        self._num_waiting = 0
        for reply, rows in self._waiting.items():
            if rows:
                self._waiting[reply] = []
                self._submit(rows, reply)

    def _submit(self, rows: list[SingleRow], reply: Reply) -> None:
        num_rows = len(rows)
        times = np.array([row.time_us for row in rows], np.int64)
        frame = Frame(
            np.array([row.slot for row in rows], np.int64),
            np.ones(num_rows, np.int64),
            np.array([row.position for row in rows], np.int64),
            times if (times != NO_TIME).any() else None,
            np.frombuffer(b"".join([row.values for row in rows]), columns.VALUE).reshape(num_rows, -1),
            reply,
            lambda _: [row.settled() for row in rows],
        )
        for entry, row in enumerate(rows):
            row.frame, row.entry = frame, entry
            if row.is_dropped:
                frame.drop_entry(entry)
        self._worker.enqueue(frame)
