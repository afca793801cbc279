"""The keys that seal what callers carry: a file with one key a line.

    # made by: statecast keys new FILE
    q83tEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=

The first key seals, every key opens. To rotate without a refusal, servers side by side: add a key at the end
of every server's file; when all have it, move it to the top; drop the old one when no state that it sealed
is to be opened any more. Servers read the file again by themselves.
"""

import base64
import binascii
import hmac
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from service.clock import Clock
from service.errors import InvalidSettings
from service.watched_file import WatchedFile

KEY_BYTES = 32
ID_BYTES = 4


@dataclass(frozen=True, slots=True)
class SealKey:
    """One key.

    Attributes:
        id: tells keys apart, and nothing of the secret.
    """

    id: bytes
    secret: bytes = field(repr=False)


class KeyRing:
    """The keys of a file, read again when it changes."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Read the file.

        Raises:
            InvalidSettings: it is not there, or not a file of keys.
        """
        self._file = WatchedFile("seal_keys", path, partial(_parsed, path), "statecast keys new FILE", clock)

    def first(self) -> SealKey:
        """The key that seals."""
        return next(iter(self._file.content().values()))

    def find(self, key_id: bytes) -> SealKey | None:
        """A key by its id, None where the file has none."""
        found = self._file.content().get(key_id)
        if found is None:
            # Another server has a key that came to our file since we looked.
            self._file.look_again()
            found = self._file.content().get(key_id)
        return found


def new_key() -> str:
    """A line for a file of keys."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def _parsed(path: Path, content: bytes) -> dict[bytes, SealKey]:
    keys: dict[bytes, SealKey] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith(b"#"):
            continue
        key = _key(text)
        if key is None:
            # Never the line itself, which may be a secret with a typing error.
            raise InvalidSettings(
                f"seal_keys: {path}, line {number}: expected a base64 key of {KEY_BYTES} bytes; "
                "`statecast keys new` prints one"
            )
        keys.setdefault(key.id, key)
    if not keys:
        raise InvalidSettings(f"seal_keys: {path}: no key in it; `statecast keys new FILE` adds one")
    return keys


def _key(text: bytes) -> SealKey | None:
    try:
        secret = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    if len(secret) != KEY_BYTES:
        return None
    return SealKey(hmac.digest(secret, b"statecast seal key id", "sha256")[:ID_BYTES], secret)
