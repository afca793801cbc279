"""What is done to the sessions of a model, apart from their rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from statecast import flow
from statecast.errors import NotFound, StatecastError
from statecast.flow import Flow, OpenStream
from statecast.model import Model
from statecast.retry import RetryPolicy
from statecast.rows import as_session_id
from statecast.session_flow import check_size
from statecast.session_info import SessionInfo, from_message
from statecast.v1 import session_pb2 as pb

# What one page may hold, by the proto.
MAX_PAGE_SIZE = 1000


@dataclass(frozen=True)
class Page:
    """Some of the sessions; `next_token` is empty after the last."""

    sessions: Sequence[SessionInfo]
    next_token: str


class SessionsFlow:
    """What `Sessions` and `AsyncSessions` do."""

    def __init__(self, model: str | Model, policy: RetryPolicy, max_message_bytes: int) -> None:
        self._model = model if isinstance(model, str) else model.name
        self._policy = policy
        self._max_message_bytes = max_message_bytes

    def get(self, session_id: str) -> Flow[SessionInfo]:
        """See `Sessions.get`."""
        request = pb.GetSessionRequest(model=self._model, session_id=as_session_id(session_id))
        return (yield from self._session("GetSession", request))

    def page(self, prefix: str, page_size: int, token: str) -> Flow[Page]:
        """A page of sessions; `token` is the `next_token` of the page before, empty for the first."""
        request = pb.ListSessionsRequest(
            model=self._model, prefix=prefix, page_size=page_size, page_token=token
        )
        response = yield from flow.call("ListSessions", request, self._policy.start())
        return Page([from_message(session) for session in response.sessions], response.next_page_token)

    def reset(self, session_id: str) -> Flow[SessionInfo]:
        """See `Sessions.reset`."""
        request = pb.ResetSessionRequest(model=self._model, session_id=as_session_id(session_id))
        return (yield from self._session("ResetSession", request))

    def fork(self, session_id: str, new_session_id: str) -> Flow[SessionInfo]:
        """See `Sessions.fork`."""
        request = pb.ForkSessionRequest(
            model=self._model,
            session_id=as_session_id(session_id),
            new_session_id=as_session_id(new_session_id),
        )
        return (yield from self._session("ForkSession", request))

    def export(self, session_id: str) -> Flow[bytes]:
        """See `Sessions.export`."""
        request = pb.ExportSessionRequest(model=self._model, session_id=as_session_id(session_id))
        response = yield from flow.call("ExportSession", request, self._policy.start())
        exported: bytes = response.exported
        return exported

    def import_(self, session_id: str, exported: bytes, overwrite: bool) -> Flow[SessionInfo]:
        """See `Sessions.import_`."""
        request = pb.ImportSessionRequest(
            model=self._model,
            session_id=as_session_id(session_id),
            exported=exported,
            overwrite=overwrite,
        )
        check_size("exported", request.ByteSize(), self._max_message_bytes)
        return (yield from self._session("ImportSession", request))

    def delete(self, session_id: str) -> Flow[SessionInfo | None]:
        """See `Sessions.delete`."""
        request = pb.DeleteSessionRequest(model=self._model, session_id=as_session_id(session_id))
        attempts = self._policy.start()
        try:
            response = yield from flow.call("DeleteSession", request, attempts)
        except NotFound:
            if not attempts.in_doubt:
                raise
            return None
        return from_message(response.session)

    def watch(self, prefix: str) -> Flow[Any]:
        """A call that tells events, open at the server."""
        request = pb.WatchSessionsRequest(model=self._model, prefix=prefix)
        return (yield from self._open("WatchSessions", request))

    def watch_rows(self, session_id: str, max_rows_per_s: int) -> Flow[Any]:
        """A call that tells rows, open at the server."""
        if max_rows_per_s < 1:
            raise ValueError(f"max_rows_per_s: expected 1 or more, found {max_rows_per_s}")
        request = pb.WatchRowsRequest(
            model=self._model,
            session_id=as_session_id(session_id),
            max_rows_per_second=max_rows_per_s,
        )
        return (yield from self._open("WatchRows", request))

    def _open(self, method: str, request: Message) -> Flow[Any]:
        attempts = self._policy.start()
        while True:
            try:
                return (yield OpenStream(method, request))
            except StatecastError as error:
                pause_s = attempts.pause_s(error)
                if pause_s is None:
                    raise
            yield flow.Pause(pause_s)

    def _session(self, method: str, request: Message) -> Flow[SessionInfo]:
        response = yield from flow.call(method, request, self._policy.start())
        return from_message(response.session)
