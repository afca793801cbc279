"""SessionService: reads and ends sessions."""

from service.rpc import validation
from service.rpc.guard import guarded
from service.rpc.status import Context
from service.sessions.catalog import Catalog
from service.sessions.info import SessionInfo as Ended
from service.sessions.worker import SessionWorker
from statecast.v1 import session_pb2 as pb
from statecast.v1 import session_pb2_grpc


class SessionService(session_pb2_grpc.SessionServiceServicer):
    """See `session.proto`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    @guarded
    async def GetSession(  # noqa: N802 - gRPC's name
        self, request: pb.GetSessionRequest, _context: Context
    ) -> pb.GetSessionResponse:
        """See `session.proto`."""
        worker = self._catalog.worker(request.model)
        validation.check_session_id(request.session_id)
        return pb.GetSessionResponse(
            session=_session(worker, request.session_id, (await worker.admin.read(request.session_id)).info)
        )

    @guarded
    async def DeleteSession(  # noqa: N802 - gRPC's name
        self, request: pb.DeleteSessionRequest, _context: Context
    ) -> pb.DeleteSessionResponse:
        """See `session.proto`."""
        worker = self._catalog.worker(request.model)
        validation.check_session_id(request.session_id)
        ended = (await worker.admin.delete(request.session_id)).info
        return pb.DeleteSessionResponse(session=_session(worker, request.session_id, ended))


def _session(worker: SessionWorker, session_id: str, known: Ended) -> pb.Session:
    model = worker.model
    return pb.Session(
        model=model.name,
        session_id=session_id,
        model_version=model.version,
        model_digest=model.manifest.digest,
        position=known.position,
        last_time_us=known.last_time_us,
    )
