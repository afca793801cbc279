"""Hand-written stand-ins for the outside world."""

import threading

import numpy as np

from service.engine.arena import Arena
from service.engine.runner import Reply


class HandClock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        """Now."""
        return self.now_s

    def wall_s(self) -> float:
        """Now."""
        return 1_800_000_000.0 + self.now_s


class CountingRunner:
    """A model whose state is the sum of its rows, and whose forecast is that sum.

    It can be held before a run that is large enough to leave the event loop's thread, and told to
    fail on a run.
    """

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.batches: list[list[int]] = []
        self.shapes: list[tuple[int, int]] = []
        self.fail_on: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def step(self, slots, rows, reply):
        """See `Runner.step`."""
        self.entered.set()
        assert self.gate.wait(30)
        assert len(set(slots.tolist())) == len(slots), "a session twice in one run"
        self.batches.append(slots.tolist())
        self.shapes.append(rows.shape[:2])
        if len(self.batches) in self.fail_on:
            raise RuntimeError("the device fell off")
        before = self.arena.gather(slots)["total"]
        each = (before + np.cumsum(np.nansum(rows, axis=2), axis=1))[:, :, None, None]
        self.arena.scatter(slots, {"total": each[:, -1, :, 0]})
        forecasts = np.broadcast_to(each, (*each.shape[:2], 2, 3)).astype(np.float32)
        return {Reply.NONE: None, Reply.LAST: forecasts[:, -1], Reply.EACH: forecasts}[reply]

    def read_out(self, slots):
        """See `Runner.read_out`."""
        total = self.arena.gather(slots)["total"][:, :, None]
        return np.broadcast_to(total, (len(slots), 2, 3)).astype(np.float32)

    def reset(self, slots):
        """See `Runner.reset`."""
        self.arena.reset(slots)

    def states(self, slots):
        """See `Runner.states`."""
        return self.arena.gather(slots)

    def restore(self, slots, states):
        """See `Runner.restore`."""
        self.arena.scatter(slots, states)
