"""Entries of a batch whose sessions are watched: what is told of them, got beside the run that steps them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import structlog

from service.engine.model import ServedModel
from service.engine.runner import Forecasts, Reply, Rows
from service.sessions.outcome import Outcome
from service.sessions.plan import Group

_log = structlog.get_logger()

# Longer entries are not scored: their rows would be stepped twice.
_MAX_SCORED_ROWS = 16


@dataclass(eq=False, slots=True)
class Watched:
    """What one entry does to a session that is watched.

    Attributes:
        session_id: as the table has it.
        entry: of the batch.
        slot: of the session, while the batch runs.
        model: the version that the session is on.
        num_consumed: rows that the session consumes with this entry.
        num_missing: missing steps among them.
        position: rows consumed once committed.
        time_us: of the last row that steps, or NO_TIME.
        steps: (1, S, W) float64, all that step the session; None where nothing does.
        is_due: whether it is to be told as soon as it is committed.
        forecast: (K, Q) after the last row; None before the run, where it failed, or where nothing is due.
        score: quantile position and tail probability of the last row; None where there is none.
    """

    session_id: str
    entry: int
    slot: int
    model: ServedModel
    num_consumed: int
    num_missing: int
    position: int
    time_us: int
    steps: Rows | None
    is_due: bool
    forecast: Forecasts | None = None
    score: tuple[float, float] | None = None

    @property
    def values(self) -> Rows:
        """(F,) the last row that steps, without what it says of later ones; the caller's own."""
        assert self.steps is not None
        return self.steps[0, -1, : len(self.model.manifest.features)].copy()

    def trim(self) -> None:
        """The batch is over: of its columns keep no more than the last row."""
        if self.steps is not None:
            self.steps = self.steps[:, -1:].copy()

    def look_ahead(self, group: Group) -> None:
        """Before its group's run: score the rows, and put the session's state back as it was.

        What the run does to the session is then what it does to one that nobody watches, bit by bit.
        """
        steps, model = self.steps, self.model
        if steps is None or group.reply.is_scored or not model.manifest.scores_anomalies:
            return
        if steps.shape[1] > _MAX_SCORED_ROWS:
            return
        slots = np.array([self.slot], np.int64)
        before = model.runner.states(slots)
        try:
            forecasts, scores = model.runner.score(slots, steps)
        except Exception as error:
            _log.warning("a watched row is not scored", model=model.name, exc_info=error)
            return
        model.runner.restore(slots, before)
        self.forecast = forecasts[0, -1]
        self._score_is(scores[0, -1])

    def look_back(self, outcome: Outcome, index: int) -> None:
        """After its group's run: the forecast that it gave, or that of the state as it stands.

        Args:
            index: the entry's, in the group.
        """
        if self.steps is None:
            return
        if outcome.scores is not None:
            self._score_is(outcome.scores[index, -1])
        if outcome.forecasts is not None:
            each = outcome.forecasts[index]
            self.forecast = (each[-1] if outcome.group.reply.forecasts is Reply.EACH else each).copy()
        elif self.forecast is None:
            try:
                self.forecast = self.model.runner.read_out(np.array([self.slot], np.int64))[0]
            except Exception as error:
                _log.warning("a watched session is not read out", model=self.model.name, exc_info=error)

    def _score_is(self, score: npt.NDArray[np.float32]) -> None:
        position, tail = score.tolist()
        self.score = (position, tail)


def look_ahead(watched: Sequence[Watched], groups: Sequence[Group]) -> None:
    """See `Watched.look_ahead`, of each that is due; between two runs, on the thread that runs the batch."""
    for each in _due(watched):
        for group in groups:
            if index_in(group, each.entry) is not None:
                each.look_ahead(group)


def look_back(watched: Sequence[Watched], outcomes: Sequence[Outcome]) -> None:
    """See `Watched.look_back`, of each that is due."""
    for each in _due(watched):
        for outcome in outcomes:
            index = index_in(outcome.group, each.entry)
            if index is not None:
                each.look_back(outcome, index)


def _due(watched: Sequence[Watched]) -> list[Watched]:
    return [each for each in watched if each.is_due]


def index_in(group: Group, entry: int) -> int | None:
    """Where a group has an entry of the batch, None where it has not."""
    if group.entries is None:
        return entry
    found = np.flatnonzero(group.entries == entry)
    return int(found[0]) if len(found) else None
