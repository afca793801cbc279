"""What proxies route calls by: a session's rows go to one replica."""

from typing import Any
from urllib.parse import quote

# The header that `deploy/envoy.yaml` and `deploy/nginx.conf` hash.
SESSION_HEADER = "statecast-session"

Metadata = tuple[tuple[str, str], ...]


def routed_by(session_id: str) -> Metadata:
    """The header for a session; a header holds ASCII only."""
    return ((SESSION_HEADER, quote(session_id, safe="")),)


def metadata_of(request: Any) -> Metadata:
    """The header for a request, none where it names no session."""
    session_id = getattr(request, "session_id", "")
    return routed_by(session_id) if session_id else ()
