"""What one caller is told of sessions."""

from service.rpc.inbox import Inbox
from service.rpc.session_message import session_message
from service.sessions.info import SessionEvent, SessionInfo
from statecast.v1 import session_pb2 as pb

# Events that wait for a slow reader; the oldest make room for new ones, and are counted.
MAX_EVENTS = 1024


class Watcher:
    """Events in order, for a caller who may read more slowly than they come."""

    def __init__(self, model: str, prefix: str) -> None:
        self._model, self._prefix = model, prefix
        self._inbox: Inbox[tuple[SessionEvent, SessionInfo]] = Inbox(MAX_EVENTS)
        self._num_missed = 0

    def tell(self, event: SessionEvent, info: SessionInfo) -> None:
        """Something happened to a session."""
        if info.session_id.startswith(self._prefix) and self._inbox.put((event, info)) is not None:
            self._num_missed += 1

    def end(self) -> None:
        """The server is going away: what waits is told, then no more."""
        self._inbox.end()

    async def next(self) -> pb.WatchSessionsResponse:
        """The next event.

        Raises:
            Draining: `end` was called, and there is none.
        """
        await self._inbox.wait()
        event, info = self._inbox.items.popleft()
        num_missed, self._num_missed = self._num_missed, 0
        session = session_message(self._model, info)
        # The events' numbers are the wire's.
        return pb.WatchSessionsResponse(event=int(event), session=session, num_missed=num_missed)  # type: ignore[arg-type]
