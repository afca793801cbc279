"""Ids that join an error that a caller sees with the log line that explains it."""

import secrets


def new_correlation_id() -> str:
    """Sixteen hexadecimal digits."""
    return secrets.token_hex(8)
