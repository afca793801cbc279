"""Ids that join an error that a caller sees with the log lines that explain it."""

import secrets

from structlog.contextvars import get_contextvars


def correlation_id() -> str:
    """The one that the caller gave the present call, or else a new one: sixteen hexadecimal digits."""
    return get_contextvars().get("correlation_id") or secrets.token_hex(8)
