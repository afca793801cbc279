"""States that callers carry: sealed, so that they come back as they left and to where they belong.

    header      format 1 byte, key id 4, position 8, model digest 32, nonce 12; little-endian, in the clear
    ciphertext  AES-256-GCM of: last time 8 bytes, size of the recent rows 4, recent rows, states
    tag         16 bytes; it covers the header and the session id too

Each session has a key of its own, derived from the ring's: of one key no more than 2^32 random nonces of 96
bits may be drawn (NIST SP 800-38D, 8.3), which a busy server would do within days, and no series ever.

A seal says nothing of when it was made: a caller may bring an older state back, which is a session that goes
on from there.
"""

import hmac
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.errors import SealRefused
from service.sessions.seal_keys import ID_BYTES, KeyRing, SealKey
from service.store.contract import Record
from service.tenant import own_id

FORMAT = 1
_DIGEST_PREFIX = "sha256:"
_HEADER = struct.Struct(f"<B{ID_BYTES}sQ32s12s")
_BEGINNING = struct.Struct("<qI")
_TAG_BYTES = 16
_PURPOSE = b"statecast sealed state\0"


class Seals:
    """Seals sessions and opens what was sealed."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def seal(self, record: Record) -> bytes:
        """A session, for its caller to carry."""
        key = self._keys.first()
        digest = bytes.fromhex(record.digest.removeprefix(_DIGEST_PREFIX))
        nonce = os.urandom(12)
        header = _HEADER.pack(FORMAT, key.id, record.position, digest, nonce)
        content = _BEGINNING.pack(record.last_time_us, len(record.recent)) + record.recent + record.states
        bound = _bound(header, record.session_id)
        return header + _cipher(key, record.session_id).encrypt(nonce, content, bound)

    def open(self, sealed: bytes, session_id: str) -> Record:
        """The session that was sealed.

        Raises:
            SealRefused: changed or cut short, of another session, or by a key that is not in the ring.
        """
        if len(sealed) < _HEADER.size + _BEGINNING.size + _TAG_BYTES:
            raise SealRefused(f"{len(sealed)} bytes are no sealed state; send it back as it came")
        header = sealed[: _HEADER.size]
        found, key_id, position, digest, nonce = _HEADER.unpack(header)
        if found != FORMAT:
            raise SealRefused(f"expected format {FORMAT}, found {found}")
        key = self._keys.find(key_id)
        if key is None:
            raise SealRefused("the key that sealed it is none of this server's; it may have been dropped")
        bound = _bound(header, session_id)
        try:
            content = _cipher(key, session_id).decrypt(nonce, sealed[_HEADER.size :], bound)
        except InvalidTag as error:
            raise SealRefused(
                f"it was changed, or is of another session than {own_id(session_id)!r}"
            ) from error
        last_time_us, recent_size = _BEGINNING.unpack_from(content)
        states_start = _BEGINNING.size + recent_size
        return Record(
            session_id=session_id,
            digest=_DIGEST_PREFIX + digest.hex(),
            position=position,
            last_time_us=last_time_us,
            states=content[states_start:],
            recent=content[_BEGINNING.size : states_start],
        )


def _cipher(key: SealKey, session_id: str) -> AESGCM:
    return AESGCM(hmac.digest(key.secret, _PURPOSE + session_id.encode(), "sha256"))


def _bound(header: bytes, session_id: str) -> bytes:
    return header + session_id.encode()
