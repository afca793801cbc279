"""SessionService: reads, copies, moves and ends sessions."""

import contextlib
from dataclasses import replace

from service.clock import Clock
from service.errors import DamagedState, ForeignState, InvalidRequest
from service.rpc import validation
from service.rpc.guard import guarded
from service.rpc.page_token import from_token, to_token
from service.rpc.row_watcher import MAX_ROWS_PER_S, RowWatcher
from service.rpc.session_message import session_message
from service.rpc.status import Context
from service.rpc.watcher import Watcher
from service.security.caller import tenant
from service.sessions import exported
from service.sessions.catalog import Catalog
from service.sessions.info import SessionEvent, SessionInfo, Snapshot
from service.sessions.worker import SessionWorker
from service.store.contract import NO_TOKEN, Record
from statecast.v1 import session_pb2 as pb
from statecast.v1 import session_pb2_grpc

_PAGE_SIZE, _MAX_PAGE_SIZE = 100, 1000
# More than a session takes in a list: its id and its model's name, a digest, numbers.
_LISTED_BYTES = 1024


class SessionService(session_pb2_grpc.SessionServiceServicer):
    """See `session.proto`."""

    def __init__(self, catalog: Catalog, clock: Clock, max_message_bytes: int) -> None:
        self._catalog, self._clock = catalog, clock
        self._max_page_size = min(_MAX_PAGE_SIZE, max(max_message_bytes // _LISTED_BYTES, 1))
        self._watchers: set[Watcher | RowWatcher] = set()
        self._is_draining = False

    @guarded
    async def GetSession(  # noqa: N802 - gRPC's name
        self, request: pb.GetSessionRequest, _context: Context
    ) -> pb.GetSessionResponse:
        """See `session.proto`."""
        worker, key = self._named(request)
        snapshot = await worker.admin.read(key)
        return pb.GetSessionResponse(session=_message(worker, snapshot.info))

    @guarded
    async def ListSessions(  # noqa: N802
        self, request: pb.ListSessionsRequest, _context: Context
    ) -> pb.ListSessionsResponse:
        """See `session.proto`."""
        worker = self._catalog.worker(request.model)
        _check_prefix(request.prefix)
        prefix = tenant().key(request.prefix)
        after = from_token(request.page_token, request.model, prefix)
        limit = min(request.page_size or _PAGE_SIZE, self._max_page_size)
        infos, following = await worker.admin.page(prefix, after, limit)
        return pb.ListSessionsResponse(
            sessions=[_message(worker, info) for info in infos],
            next_page_token=to_token(request.model, prefix, following),
        )

    @guarded
    async def ResetSession(  # noqa: N802
        self, request: pb.ResetSessionRequest, _context: Context
    ) -> pb.ResetSessionResponse:
        """See `session.proto`."""
        worker, key = self._named(request)
        # A state that cannot be read is one to begin anew.
        with contextlib.suppress(DamagedState, ForeignState):
            await worker.admin.read(key)
        beginning = self._opened(worker.admin.initial_record(key))
        snapshot = await worker.admin.write(beginning, replace=True, event=SessionEvent.RESET)
        return pb.ResetSessionResponse(session=_message(worker, snapshot.info))

    @guarded
    async def ForkSession(  # noqa: N802
        self, request: pb.ForkSessionRequest, _context: Context
    ) -> pb.ForkSessionResponse:
        """See `session.proto`."""
        worker, key = self._named(request)
        validation.check_session_id(request.new_session_id, "new_session_id")
        original = await worker.admin.read(key)
        copy = self._opened(replace(original.record, session_id=tenant().key(request.new_session_id)))
        snapshot = await worker.admin.write(copy, replace=False)
        return pb.ForkSessionResponse(session=_message(worker, snapshot.info))

    @guarded
    async def ExportSession(  # noqa: N802
        self, request: pb.ExportSessionRequest, _context: Context
    ) -> pb.ExportSessionResponse:
        """See `session.proto`."""
        worker, key = self._named(request)
        snapshot = await worker.admin.read(key)
        version = await worker.admin.version_of(snapshot.record.digest)
        return pb.ExportSessionResponse(
            exported=exported.to_bytes(snapshot.record, version.model.manifest),
            session=_message(worker, snapshot.info),
        )

    @guarded
    async def ImportSession(  # noqa: N802
        self, request: pb.ImportSessionRequest, _context: Context
    ) -> pb.ImportSessionResponse:
        """See `session.proto`."""
        worker, key = self._named(request)
        message = exported.parse(request.exported, tenant().name)
        version = await worker.admin.version_of(message.model_digest)
        record = exported.record_of(message, key, version.model.manifest)
        snapshot = await worker.admin.write(self._opened(record), replace=request.overwrite)
        return pb.ImportSessionResponse(session=_message(worker, snapshot.info))

    @guarded
    async def DeleteSession(  # noqa: N802
        self, request: pb.DeleteSessionRequest, _context: Context
    ) -> pb.DeleteSessionResponse:
        """See `session.proto`."""
        worker, key = self._named(request)
        ended: Snapshot = await worker.admin.delete(key)
        return pb.DeleteSessionResponse(session=_message(worker, ended.info))

    @guarded
    async def WatchSessions(  # noqa: N802
        self, request: pb.WatchSessionsRequest, context: Context
    ) -> None:
        """See `session.proto`."""
        worker = self._catalog.worker(request.model)
        _check_prefix(request.prefix)
        watcher = Watcher(worker.model.name, tenant().key(request.prefix))
        if self._is_draining:
            watcher.end()
        self._watchers.add(watcher)
        unsubscribe = worker.admin.subscribe(watcher.tell)
        try:
            # So that the caller knows from when on it is told.
            await context.send_initial_metadata(())
            while True:
                await context.write(await watcher.next())
        finally:
            unsubscribe()
            self._watchers.discard(watcher)

    @guarded
    async def WatchRows(  # noqa: N802
        self, request: pb.WatchRowsRequest, context: Context
    ) -> None:
        """See `session.proto`."""
        worker, key = self._named(request)
        pace = min(request.max_rows_per_second or MAX_ROWS_PER_S, MAX_ROWS_PER_S)
        watcher = RowWatcher()
        if self._is_draining:
            watcher.end()
        close = worker.watches.open(key, pace, watcher)
        self._watchers.add(watcher)
        try:
            # So that the caller knows from when on it is told.
            await context.send_initial_metadata(())
            while True:
                await context.write(await watcher.next())
        finally:
            close()
            self._watchers.discard(watcher)

    def drain(self) -> None:
        """End the watches with UNAVAILABLE, once they have told what waits."""
        self._is_draining = True
        for watcher in self._watchers:
            watcher.end()

    def _named(self, request: "_Named") -> tuple[SessionWorker, str]:
        """Who has the session that a request names, and what it is called there."""
        worker = self._catalog.worker(request.model)
        validation.check_session_id(request.session_id)
        return worker, tenant().key(request.session_id)

    def _opened(self, record: Record) -> Record:
        """A record of a session that begins to live now."""
        return replace(record, used_at_s=self._clock.wall_s(), token=NO_TOKEN, tail=None)


_Named = (
    pb.GetSessionRequest
    | pb.ResetSessionRequest
    | pb.ForkSessionRequest
    | pb.ExportSessionRequest
    | pb.ImportSessionRequest
    | pb.DeleteSessionRequest
    | pb.WatchRowsRequest
)


def _message(worker: SessionWorker, info: SessionInfo) -> pb.Session:
    return session_message(worker.model.name, info)


def _check_prefix(prefix: str) -> None:
    size = len(prefix.encode())
    if size > validation.MAX_SESSION_ID_BYTES:
        raise InvalidRequest("prefix", f"{size} bytes", f"at most {validation.MAX_SESSION_ID_BYTES} bytes")
