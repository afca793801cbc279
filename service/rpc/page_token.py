"""Where the next page of a list begins, as callers bring it back."""

import base64
import binascii
import hashlib

from service.errors import InvalidRequest

_CHECK_BYTES = 8


def to_token(model: str, prefix: str, after: str) -> str:
    """A token for the page after `after`; empty where that is."""
    if not after:
        return ""
    content = after.encode()
    return base64.urlsafe_b64encode(_check(model, prefix, content) + content).decode()


def from_token(token: str, model: str, prefix: str) -> str:
    """What `to_token` was given.

    Raises:
        InvalidRequest: it is no token, or one of another list.
    """
    if not token:
        return ""
    try:
        whole = base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        whole = b""
    check, content = whole[:_CHECK_BYTES], whole[_CHECK_BYTES:]
    if not content or check != _check(model, prefix, content):
        expected = "the next_page_token of a page of the same model and prefix"
        raise InvalidRequest("page_token", repr(token[:64]), expected)
    return content.decode()


def _check(model: str, prefix: str, content: bytes) -> bytes:
    """Tells a token of another list, or one that was typed; it keeps nothing secret."""
    named = f"{len(model)} {model}{len(prefix)} {prefix}".encode()
    return hashlib.blake2b(named + content, digest_size=_CHECK_BYTES).digest()
