"""What bounds one model's sessions."""

from dataclasses import dataclass

from service.sessions.plan import StepLimits


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one model's sessions; see the settings of the same names.

    Attributes:
        max_inline_rows: rows that a batch may hold and still run on the event loop's own thread.
        num_recent_rows: rows kept of each session in memory, for versions that replay them.
        max_tenant_sessions: of each tenant; None where there are none.
    """

    session_ttl_s: float
    max_sessions: int
    max_batch_size: int
    max_queued_rows: int
    max_inline_rows: int
    steps: StepLimits
    num_recent_rows: int = 0
    max_tenant_sessions: int | None = None
