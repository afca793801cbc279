"""Rows of a file or a pipe on their way to a server and back."""

from collections import deque
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cli.observations import Observation
    from statecast import ForecastResult, PendingFrame, Stream
    from statecast.rows import ReplyName


class RowRefused(ValueError):
    """A row that the server did not take."""

    def __init__(self, line: int, reason: Exception) -> None:
        self.line, self.reason = line, reason
        super().__init__(f"line {line}: {reason}")


class Reply(StrEnum):
    """Which forecasts to print."""

    EACH = "each"
    LAST = "last"
    NONE = "none"


def send(
    stream: "Stream",
    observations: "Iterable[Observation]",
    reply: Reply,
    *,
    horizon: int | None,
    anomalies: bool,
    depth: int,
) -> "Iterator[tuple[Observation, ForecastResult]]":
    """Send rows, at most `depth` of them ahead of the result that is waited for; each comes with its result.

    Raises:
        RowRefused: by the server; rows sent after it may have been applied.
    """
    waiting: deque[tuple[Observation, PendingFrame]] = deque()
    for observation, wanted in _with_replies(observations, reply):
        times = None if observation.time is None else [observation.time]
        values, sessions = [observation.values], [observation.session_id]
        pending = stream.submit(
            sessions, values, times, reply=wanted, horizon=horizon, score_anomalies=anomalies
        )
        waiting.append((observation, pending))
        if len(waiting) >= depth:
            yield _result(*waiting.popleft())
    while waiting:
        yield _result(*waiting.popleft())


def _result(observation: "Observation", pending: "PendingFrame") -> "tuple[Observation, ForecastResult]":
    from statecast import StatecastError

    result = pending.result().entry(0)
    if isinstance(result, StatecastError):
        raise RowRefused(observation.line, result)
    return observation, result


def _with_replies(
    observations: "Iterable[Observation]", reply: Reply
) -> "Iterator[tuple[Observation, ReplyName]]":
    """Each observation and what to ask for with it, in an order that keeps each series' own."""
    if reply is not Reply.LAST:
        # Each frame is one row: the last forecast of each is a forecast of every row.
        wanted: ReplyName = "none" if reply is Reply.NONE else "last"
        yield from ((observation, wanted) for observation in observations)
        return
    # A row turns out to be its series' last only at the end; until then each is held back by one.
    held: dict[str, Observation] = {}
    for observation in observations:
        if observation.session_id in held:
            yield held[observation.session_id], "none"
        held[observation.session_id] = observation
    yield from ((observation, "last") for observation in held.values())
