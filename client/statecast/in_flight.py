"""A frame on its way: which entries are still to be answered, and what came for the others."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from statecast.errors import PositionConflict, StatecastError
from statecast.forecast import ForecastResult
from statecast.frames import Columns, FrameResult, Integers, rows_before

Mask = npt.NDArray[np.bool_]
# Told what became of an entry, once.
Told: TypeAlias = Callable[[ForecastResult | StatecastError], None]


class InFlight:
    """A frame that was taken but perhaps not answered.

    An entry that has its answer is not sent again: what is here, N entries, are those without.

    Attributes:
        frame_id: the same however often it is sent.
        columns: the N entries.
        positions: (N,) of their first rows.
        outcome: that of all the frame's entries, None until each has its own.
        in_doubt: whether it was sent on a connection that ended before its answer came.
    """

    def __init__(
        self, frame_id: int, columns: Columns, positions: Integers, told: Sequence[Told] = ()
    ) -> None:
        """`told` has one for each entry, or none."""
        self.frame_id = frame_id
        self.columns = columns
        self.positions = positions
        self.outcome: FrameResult | StatecastError | None = None
        self.in_doubt = False
        self._told = told
        # Which of the frame's entries the N are, and what came for all of them so far.
        self._entries = np.arange(len(columns.handles))
        self._answered: FrameResult | None = None

    def result(self) -> FrameResult:
        """The outcome.

        Raises:
            StatecastError: the whole frame was refused.
        """
        if isinstance(self.outcome, StatecastError):
            raise self.outcome
        assert self.outcome is not None
        return self.outcome

    def again(self, result: FrameResult) -> Mask:
        """(N,) the entries to send again: the server will take them later, or at another position.

        The latter are rows behind a refused one of their session. The server refuses them for their position
        alone, which is one row too many for each row that it never took.
        """
        again = np.zeros(len(result), bool)
        behind: set[int] = set()
        for entry in sorted(result.errors):
            error, handle = result.errors[entry], int(self.columns.handles[entry])
            if isinstance(error, PositionConflict):
                again[entry] = handle in behind
            else:
                again[entry] = error.retryable
                behind.add(handle)
        return again

    def settle(self, result: FrameResult, again: Mask) -> None:
        """Take the answers of the N entries; those `again` stay without."""
        if self._answered is None:
            self._answered = result
        else:
            self._answered = self._answered.amended(self._entries, result)
        if self._told:
            for told, answer, waits in zip(self._told, result, again.tolist(), strict=True):
                if not waits:
                    told(answer)
        if again.any():
            self._keep(again, result.refused & ~again)
        else:
            self.outcome = self._answered

    def refuse(self, error: StatecastError) -> None:
        """The N entries are refused, and that is the end of it."""
        for told in self._told:
            told(error)
        self.outcome = error if self._answered is None else self._answered.refusing(self._entries, error)

    def _keep(self, again: Mask, refused: Mask) -> None:
        columns = self.columns
        never_taken = rows_before(columns.handles, np.where(refused, columns.lengths, 0))
        self.positions = (self.positions - never_taken)[again]
        self.columns = columns.only(again)
        self._entries = self._entries[again]
        self._told = [told for told, waits in zip(self._told, again.tolist(), strict=False) if waits]
