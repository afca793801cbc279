"""How a session lies in Valkey: one string, a head of fixed size and a body.

    byte  0  token            int64
          8  position         int64
         16  checksum         uint64, of every word but the token and itself
         24  last_time_us     int64
         32  used_at_s        float64
         40  magic            "scs1": what this is, and its version
         44  state bytes      uint32
         48  digest bytes     uint16
         50  has recent rows  uint8, whether those kept under the session's other key go with this record
         56  digest, states, zeros up to a multiple of 8

Everything is little-endian. The checksum is the sum modulo 2^64 of the words, each times an odd number of its
place: whatever happens to one word, or to the order of words, is seen.
"""

import struct
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from service.store.contract import Changes, Listed, Record, StoreFault

MAGIC = b"scs1"
HEAD = np.dtype(
    [
        ("token", "<i8"),
        ("position", "<i8"),
        ("checksum", "<u8"),
        ("last_time_us", "<i8"),
        ("used_at_s", "<f8"),
        ("magic", "S4"),
        ("num_state_bytes", "<u4"),
        ("num_digest_bytes", "<u2"),
        ("has_recent", "u1"),
        ("unused", "V5"),
    ]
)
# The same for one record.
_HEAD = struct.Struct("<qqQqd4sIHB5x")
# A head and any digest.
MAX_HEAD_BYTES = HEAD.itemsize + 128

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

_TOKEN_WORD, _CHECKSUM_WORD = 0, 2
# Odd, and without a pattern: 2^64 divided by the golden ratio.
_MULTIPLIER = 0x9E3779B97F4A7C15


def pack_batch(changes: Changes, tokens: Integers, states: Bytes, has_recent: bool) -> Bytes:
    """The records of a batch's N sessions after it, (N, bytes of a record)."""
    digest = changes.digest.encode()
    num_rows, num_state_bytes = states.shape
    num_bytes = HEAD.itemsize + len(digest) + num_state_bytes
    records = np.zeros((num_rows, num_bytes + -num_bytes % 8), np.uint8)
    head = np.zeros(num_rows, HEAD)
    head["token"], head["position"] = tokens, changes.after
    head["last_time_us"], head["used_at_s"] = changes.last_times_us, changes.at_s
    head["magic"], head["has_recent"] = MAGIC, has_recent
    head["num_state_bytes"], head["num_digest_bytes"] = num_state_bytes, len(digest)
    records[:, : HEAD.itemsize] = head.view(np.uint8).reshape(num_rows, -1)
    records[:, HEAD.itemsize : HEAD.itemsize + len(digest)] = np.frombuffer(digest, np.uint8)
    records[:, HEAD.itemsize + len(digest) : num_bytes] = states
    words = records.view("<u8")
    words[:, _CHECKSUM_WORD] = np.einsum("nw,w->n", words, _weights(words.shape[1]))
    return records


def expected_heads(changes: Changes) -> Integers:
    """The first 16 bytes that the store must have of each session, (N, 2); zeros: no such session."""
    return np.stack([changes.tokens, changes.before], axis=1).astype("<i8")


def pack(record: Record, token: int, has_recent: bool) -> bytes:
    """A record with its token."""
    batch = Changes(
        session_ids=[record.session_id],
        tokens=np.array([token]),
        before=np.array([record.position]),
        after=np.array([record.position]),
        last_times_us=np.array([record.last_time_us]),
        num_steps=np.array([0]),
        rows=np.empty((0, 0)),
        digest=record.digest,
        at_s=record.used_at_s,
        states=lambda: np.frombuffer(record.states, np.uint8)[None],
    )
    return pack_batch(batch, batch.tokens, batch.states(), has_recent).tobytes()


def unpack(session_id: str, value: bytes, recent: bytes, token: int) -> Record | StoreFault:
    """A record out of what Valkey has, with the token that it has by now, or what is wrong with it."""
    if len(value) < HEAD.itemsize or value[40:44] != MAGIC:
        return StoreFault(session_id, f"{len(value)} bytes that are no record: no {MAGIC!r} at byte 40")
    _, position, checksum, last_time_us, used_at_s, _, num_state_bytes, num_digest_bytes, has_recent = (
        _HEAD.unpack_from(value)
    )
    digest_end = HEAD.itemsize + num_digest_bytes
    states_end = digest_end + num_state_bytes
    if len(value) != states_end + -states_end % 8:
        return StoreFault(session_id, f"{len(value)} bytes where its head says {states_end}")
    words = np.frombuffer(value, "<u8")
    if int(np.dot(words, _weights(len(words)))) != checksum:
        return StoreFault(session_id, "damaged: its checksum does not match")
    return Record(
        session_id=session_id,
        digest=value[HEAD.itemsize : digest_end].decode(),
        position=position,
        last_time_us=last_time_us,
        states=value[digest_end:states_end],
        recent=recent if has_recent else b"",
        used_at_s=used_at_s,
        token=token,
    )


def unpack_head(session_id: str, value: bytes) -> Listed | None:
    """What a page tells of a session, from a record's first MAX_HEAD_BYTES; None where it is no record."""
    if len(value) < HEAD.itemsize or value[40:44] != MAGIC:
        return None
    _, position, _, last_time_us, used_at_s, _, _, num_digest_bytes, _ = _HEAD.unpack_from(value)
    digest = value[HEAD.itemsize : HEAD.itemsize + num_digest_bytes].decode(errors="replace")
    return Listed(session_id, digest, position, last_time_us, used_at_s)


@lru_cache(maxsize=64)
def _weights(num_words: int) -> npt.NDArray[np.uint64]:
    weights = (np.arange(1, num_words + 1, dtype=np.uint64) * np.uint64(_MULTIPLIER)) | np.uint64(1)
    weights[[_TOKEN_WORD, _CHECKSUM_WORD]] = 0
    return weights
