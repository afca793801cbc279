"""Sessions as they are told of on the wire."""

from service.sessions.info import SessionInfo
from service.tenant import own_id
from statecast.v1 import session_pb2 as pb


def session_message(model: str, info: SessionInfo) -> pb.Session:
    """A session as it stood."""
    return pb.Session(
        model=model,
        session_id=own_id(info.session_id),
        model_version=info.version,
        model_digest=info.digest,
        position=info.position,
        last_time_us=info.last_time_us,
        place=pb.SESSION_PLACE_MEMORY if info.in_memory else pb.SESSION_PLACE_STORE,
        used_at_us=round(info.used_at_s * 1e6),
    )
