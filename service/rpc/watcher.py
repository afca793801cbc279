"""What one caller is told of sessions."""

import asyncio
from collections import deque

from service.errors import Draining
from service.rpc.session_message import session_message
from service.sessions.info import SessionEvent, SessionInfo
from statecast.v1 import session_pb2 as pb

# Events that wait for a slow reader; the oldest make room for new ones, and are counted.
MAX_EVENTS = 1024


class Watcher:
    """Events in order, for a caller who may read more slowly than they come."""

    def __init__(self, model: str, prefix: str) -> None:
        self._model, self._prefix = model, prefix
        self._events: deque[tuple[SessionEvent, SessionInfo]] = deque()
        self._num_missed = 0
        self._is_over = False
        self._news = asyncio.Event()

    def tell(self, event: SessionEvent, info: SessionInfo) -> None:
        """Something happened to a session."""
        if not info.session_id.startswith(self._prefix):
            return
        if len(self._events) == MAX_EVENTS:
            self._events.popleft()
            self._num_missed += 1
        self._events.append((event, info))
        self._news.set()

    def end(self) -> None:
        """The server is going away: what waits is told, then no more."""
        self._is_over = True
        self._news.set()

    async def next(self) -> pb.WatchSessionsResponse:
        """The next event.

        Raises:
            Draining: `end` was called, and there is none.
        """
        while not self._events:
            if self._is_over:
                raise Draining
            self._news.clear()
            await self._news.wait()
        event, info = self._events.popleft()
        num_missed, self._num_missed = self._num_missed, 0
        session = session_message(self._model, info)
        # The events' numbers are the wire's.
        return pb.WatchSessionsResponse(event=int(event), session=session, num_missed=num_missed)  # type: ignore[arg-type]
