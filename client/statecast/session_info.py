"""What is known of sessions, and what happens to them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from statecast.v1 import session_pb2

Place = Literal["memory", "store", "unknown"]
EventName = Literal["evicted", "expired", "deleted", "reset", "taken_over", "upgraded", "unknown"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACES: dict[int, Place] = {
    session_pb2.SESSION_PLACE_MEMORY: "memory",
    session_pb2.SESSION_PLACE_STORE: "store",
}
_EVENTS: dict[int, EventName] = {
    session_pb2.SESSION_EVENT_EVICTED: "evicted",
    session_pb2.SESSION_EVENT_EXPIRED: "expired",
    session_pb2.SESSION_EVENT_DELETED: "deleted",
    session_pb2.SESSION_EVENT_RESET: "reset",
    session_pb2.SESSION_EVENT_TAKEN_OVER: "taken_over",
    session_pb2.SESSION_EVENT_UPGRADED: "upgraded",
}


@dataclass(frozen=True)
class SessionInfo:
    """A session as it stood.

    Attributes:
        model_version: whose state it holds; 0 where the server does not serve that version now.
        model_digest: that version's.
        position: rows consumed.
        last_time: of the last row, UTC; None before any row had a time.
        place: whether its state is in the server's memory or in the store, whence its next row brings it.
        used_at: when a row last came, UTC.
    """

    model: str
    session_id: str
    model_version: int
    model_digest: str
    position: int
    last_time: datetime | None
    place: Place
    used_at: datetime


@dataclass(frozen=True)
class SessionEvent:
    """Something that happened to a session beside its rows.

    Attributes:
        kind: `evicted` from memory to the store, `expired` for good, `deleted`, `reset` to its beginning,
            `taken_over` by another replica, `upgraded` to another version of its model; `unknown` where the
            server is newer than this client.
        session: as it stood.
        num_missed: events between the one before and this one that were not told, because they were read
            too slowly.
    """

    kind: EventName
    session: SessionInfo
    num_missed: int


def from_message(message: session_pb2.Session) -> SessionInfo:
    """The session that a reply describes."""
    return SessionInfo(
        model=message.model,
        session_id=message.session_id,
        model_version=message.model_version,
        model_digest=message.model_digest,
        position=message.position,
        last_time=_utc(message.last_time_us) if message.HasField("last_time_us") else None,
        place=_PLACES.get(message.place, "unknown"),
        used_at=_utc(message.used_at_us),
    )


def events_from(response: session_pb2.WatchSessionsResponse) -> list[SessionEvent]:
    """The one event that a message of a watch tells of."""
    return [SessionEvent(event_name(response.event), from_message(response.session), response.num_missed)]


def event_name(number: int) -> EventName:
    """What a number of the wire says."""
    return _EVENTS.get(number, "unknown")


def _utc(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_us)
