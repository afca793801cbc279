"""What one caller is told of one session's rows."""

import asyncio

from service.rpc.inbox import Inbox
from service.sessions.info import SessionEvent, SessionInfo
from service.sessions.row_watch import ToldRow
from statecast.v1 import forecast_pb2
from statecast.v1 import session_pb2 as pb

# Faster than anybody can look, and little to a server.
MAX_ROWS_PER_S = 50
# Rows and events that wait for a slow reader; the oldest rows make room for new ones, and are counted.
MAX_WAITING = 64
_GATHER_S = 0.1


class RowWatcher:
    """Rows and events in order, for a caller who may read more slowly than they come."""

    def __init__(self) -> None:
        self._inbox: Inbox[ToldRow | tuple[SessionEvent, SessionInfo]] = Inbox(MAX_WAITING)
        self._num_skipped = self._num_missing = 0
        self._version = 0
        self._next_s = float("-inf")

    def row(self, row: ToldRow) -> None:
        """See `row_watch.Listener`."""
        self._put(row)

    def event(self, event: SessionEvent, info: SessionInfo) -> None:
        """See `row_watch.Listener`."""
        self._put((event, info))

    def end(self) -> None:
        """The server is going away: what waits is told, then no more."""
        self._inbox.end()

    async def next(self) -> pb.WatchRowsResponse:
        """The next rows, of one version of the model, or the next event.

        Raises:
            Draining: `end` was called, and there is none.
        """
        await self._inbox.wait()
        await self._gather()
        waiting = self._inbox.items
        first = waiting[0]
        if not isinstance(first, ToldRow):
            waiting.popleft()
            self._num_skipped = self._num_missing = 0
            event, info = first
            # The events' numbers are the wire's.
            return pb.WatchRowsResponse(event=int(event), model_version=info.version)  # type: ignore[arg-type]
        response = pb.WatchRowsResponse(model_version=first.model.version)
        if first.model.version != self._version:
            self._version = first.model.version
            response.quantile_levels.extend(first.model.manifest.quantile_levels)
            response.labels.extend(first.model.manifest.labels)
        while waiting:
            row = waiting[0]
            if not isinstance(row, ToldRow) or row.model.version != self._version:
                break
            waiting.popleft()
            self._add(response, row)
        return response

    async def _gather(self) -> None:
        """Let more come where the message before was a moment ago: a message costs what a call costs."""
        loop = asyncio.get_running_loop()
        if not self._inbox.is_over and (wait_s := self._next_s - loop.time()) > 0:
            await asyncio.sleep(wait_s)
        self._next_s = loop.time() + _GATHER_S

    def _put(self, told: ToldRow | tuple[SessionEvent, SessionInfo]) -> None:
        left_out = self._inbox.put(told)
        if isinstance(left_out, ToldRow):
            self._num_skipped += 1 + left_out.num_skipped
            self._num_missing += left_out.num_missing

    def _add(self, response: pb.WatchRowsResponse, row: ToldRow) -> None:
        message = response.rows.add(
            position=row.position,
            time_us=row.time_us,
            values=row.values.tolist(),
            forecast=forecast_pb2.Forecast(position=row.position, values=row.forecast.ravel().tolist()),
            num_skipped=row.num_skipped + self._num_skipped,
            num_missing_steps=row.num_missing + self._num_missing,
        )
        self._num_skipped = self._num_missing = 0
        if row.score is not None:
            position, tail = row.score
            message.anomaly_score.quantile_position = position
            message.anomaly_score.tail_probability = tail
