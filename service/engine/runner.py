"""Advancing sessions: the contract, and the runner that every device and graph can do."""

from enum import IntEnum
from typing import Protocol, cast

import numpy as np
import numpy.typing as npt

from models.artifact import ANOMALY, FORECAST, READ_OUT, ROWS, next_name
from models.manifest import Manifest
from service.engine.arena import Arena, Slots, States
from service.engine.graphs import Graphs
from service.engine.providers import open_session

Rows = npt.NDArray[np.float64]
Forecasts = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float32]


class Reply(IntEnum):
    """Which forecasts a step returns."""

    NONE = 0
    LAST = 1
    EACH = 2
    # The same, and scores of the rows besides.
    SCORED_NONE = 3
    SCORED_LAST = 4
    SCORED_EACH = 5

    @property
    def is_scored(self) -> bool:
        """Whether rows are scored too."""
        return self >= Reply.SCORED_NONE

    @property
    def forecasts(self) -> "Reply":
        """The same without scores."""
        return Reply(self % Reply.SCORED_NONE)

    @property
    def scored(self) -> "Reply":
        """The same with scores."""
        return Reply(self.forecasts + Reply.SCORED_NONE)

    @property
    def for_one_row(self) -> "Reply":
        """What it comes to where there is one row: after each and after the last is the same."""
        return Reply.LAST if self is Reply.EACH else self


class Runner(Protocol):
    """Advances sessions of one model. B sessions, T rows each, W columns (`RowLayout`), K horizon, Q levels.

    Owns the states. One call at a time.
    """

    def step(self, slots: Slots, rows: Rows, reply: Reply) -> Forecasts | None:
        """Advance distinct `slots` by `rows` (B, T, W), T >= 1, and commit their next states.

        A call that raises commits nothing.

        Returns:
            NONE: None. LAST: (B, K, Q). EACH: (B, T, K, Q). Raw units; the caller's own.
        """
        ...

    def score(self, slots: Slots, rows: Rows) -> tuple[Forecasts, Scores]:
        """`step` of a model that scores rows: forecasts (B, T, K, Q) and anomaly scores (B, T, 2).

        NaN where a row had no forecast before it, or no value.
        """
        ...

    def read_out(self, slots: Slots) -> Forecasts:
        """The forecasts (B, K, Q) of the states as they stand; changes nothing."""
        ...

    def reset(self, slots: Slots) -> None:
        """Put `slots` into the initial state."""
        ...

    def states(self, slots: Slots) -> States:
        """A copy of the states of `slots`, each (B, *shape), in this machine's memory."""
        ...

    def restore(self, slots: Slots, states: States) -> None:
        """Overwrite the states of distinct `slots`, each (B, *shape)."""
        ...


class NumpyRunner:
    """ONNX Runtime between a numpy gather and a numpy scatter: the fallback and the reference."""

    def __init__(
        self, graphs: Graphs, manifest: Manifest, arena: Arena, device: str, intra_op_threads: int
    ) -> None:
        self._arena = arena
        self._states = [state.name for state in manifest.states]
        self._next = [next_name(name) for name in self._states]
        self._advance = open_session(graphs.advance, device, intra_op_threads)
        self._forecast = open_session(graphs.forecast, device, intra_op_threads)
        self._read_out = open_session(graphs.read_out, device, intra_op_threads)
        self._scored = open_session(graphs.scored, device, intra_op_threads) if graphs.scored else None

    def step(self, slots: Slots, rows: Rows, reply: Reply) -> Forecasts | None:
        """See `Runner.step`."""
        feeds = {ROWS: rows, **self._arena.gather(slots)}
        # The last of many rows is cheaper to read out of the state than to pick from them all.
        if reply is Reply.NONE or (reply is Reply.LAST and rows.shape[1] > 1):
            after = self._named(self._advance.run(self._next, feeds))
            forecasts = self._run_read_out(after) if reply is Reply.LAST else None
        else:
            each, *states = self._forecast.run([FORECAST, *self._next], feeds)
            after = self._named(states)
            forecasts = each if reply is Reply.EACH else each[:, -1]
        self._arena.scatter(slots, after)
        return forecasts

    def score(self, slots: Slots, rows: Rows) -> tuple[Forecasts, Scores]:
        """See `Runner.score`."""
        assert self._scored is not None
        feeds = {ROWS: rows, **self._arena.gather(slots)}
        forecasts, scores, *states = self._scored.run([FORECAST, ANOMALY, *self._next], feeds)
        self._arena.scatter(slots, self._named(states))
        return forecasts, scores

    def read_out(self, slots: Slots) -> Forecasts:
        """See `Runner.read_out`."""
        return self._run_read_out(self._arena.gather(slots))

    def reset(self, slots: Slots) -> None:
        """See `Runner.reset`."""
        self._arena.reset(slots)

    def states(self, slots: Slots) -> States:
        """See `Runner.states`."""
        return self._arena.gather(slots)

    def restore(self, slots: Slots, states: States) -> None:
        """See `Runner.restore`."""
        self._arena.scatter(slots, states)

    def _run_read_out(self, states: States) -> Forecasts:
        wanted = {tensor.name for tensor in self._read_out.get_inputs()}
        feeds = {name: state for name, state in states.items() if name in wanted}
        return cast(Forecasts, self._read_out.run([READ_OUT], feeds)[0])

    def _named(self, outputs: list[npt.NDArray[np.generic]]) -> States:
        return dict(zip(self._states, outputs, strict=True))
