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
from pathlib import Path

import structlog

from service.clock import Clock
from service.errors import InvalidSettings

_log = structlog.get_logger()

KEY_BYTES = 32
ID_BYTES = 4
# How old our knowledge of the file may be where nothing says that it has changed.
_LOOK_EVERY_S = 1.0
_Stamp = tuple[int, int, int]


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
        self._path = path
        self._clock = clock
        self._stamp: _Stamp | None = _stamp(path)
        self._keys = _read(path)
        self._looked_at_s = clock.monotonic_s()

    def first(self) -> SealKey:
        """The key that seals."""
        now_s = self._clock.monotonic_s()
        if now_s - self._looked_at_s >= _LOOK_EVERY_S:
            self._looked_at_s = now_s
            self._read_again()
        return next(iter(self._keys.values()))

    def find(self, key_id: bytes) -> SealKey | None:
        """A key by its id, None where the file has none."""
        if key_id not in self._keys:
            # Another server has a key that came to our file since we looked.
            self._read_again()
        else:
            self.first()
        return self._keys.get(key_id)

    def _read_again(self) -> None:
        """Take the file's keys where it has changed; where it is wrong, keep those there are."""
        before, self._stamp = self._stamp, None
        try:
            self._stamp = _stamp(self._path)
            if self._stamp == before:
                return
            self._keys = _read(self._path)
            _log.info("seal keys read again", path=str(self._path), num_keys=len(self._keys))
        except InvalidSettings as error:
            # Said once, not at each look.
            if before is not None:
                _log.error("seal keys are kept as they were", reason=str(error))


def new_key() -> str:
    """A line for a file of keys."""
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError as error:
        reason = f"{error.strerror}; `statecast keys new FILE` makes one"
        raise InvalidSettings(f"seal_keys: cannot read {path}: {reason}") from error
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> dict[bytes, SealKey]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InvalidSettings(f"seal_keys: cannot read {path}: {error.strerror}") from error
    keys: dict[bytes, SealKey] = {}
    for number, line in enumerate(lines, start=1):
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
