"""Whether calls are traced; OpenTelemetry is loaded only where they are."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from statecast.tracing import Tracing


def tracing_if(wanted: bool) -> "Tracing | None":
    """What makes spans.

    Raises:
        ImportError: the extra `trace` is not installed.
    """
    if not wanted:
        return None
    from statecast.tracing import Tracing

    return Tracing()
