"""How a batch of rows is written down: two blobs, each with a checksum over itself and its number.

The rows are in `rows`, with all that is needed to step them again. `names` says once more which sessions
the batch moved, and to where: should `rows` be damaged, exactly they are known to have lost rows.

    names:  checksum u4, N u4 | keys i8 (N,), after i8 (N,)
    rows:   checksum u4, N u4, num_rows u4, F u4 | keys i8 (N,), after i8, last_times_us i8,
            after - before u4 (N,), num_steps u4 (N,) | rows f8 (num_rows, F)

All little-endian.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

_NAMES_HEAD = struct.Struct("<II")
_ROWS_HEAD = struct.Struct("<IIII")
_CHECKSUM_BYTES = 4
_NAMES_BYTES_PER_ENTRY = 16
_ROWS_BYTES_PER_ENTRY = 32


class Damaged(ValueError):
    """A blob that is not as it was written."""


@dataclass(frozen=True, eq=False, slots=True)
class JournalBatch:
    """What one batch did to N sessions.

    Attributes:
        keys: (N,) the sessions' keys in the file.
        before, after, last_times_us, num_steps: (N,) as in `Changes`.
        rows: (sum of num_steps, F) float64.
    """

    keys: Integers
    before: Integers
    after: Integers
    last_times_us: Integers
    num_steps: Integers
    rows: npt.NDArray[np.float64]

    def rows_of(self, at: int) -> npt.NDArray[np.float64]:
        """The rows of one entry."""
        start = int(self.num_steps[:at].sum())
        return self.rows[start : start + int(self.num_steps[at])]

    def select(self, kept: npt.NDArray[np.bool_]) -> "JournalBatch":
        """Only some entries, in order."""
        if kept.all():
            return self
        rows = self.rows[np.repeat(kept, self.num_steps)]
        return JournalBatch(
            self.keys[kept],
            self.before[kept],
            self.after[kept],
            self.last_times_us[kept],
            self.num_steps[kept],
            rows,
        )


_NONE = np.zeros(0, np.int64)
EMPTY = JournalBatch(_NONE, _NONE, _NONE, _NONE, _NONE, np.zeros((0, 0)))


def encode_names(number: int, keys: Integers, after: Integers) -> bytes:
    """`names` of the model's batch of that number."""
    content = b"".join((keys.astype("<i8", copy=False).tobytes(), after.astype("<i8", copy=False).tobytes()))
    return _sealed(number, struct.pack("<I", len(keys)) + content)


def decode_names(number: int, blob: bytes) -> tuple[Integers, Integers]:
    """Keys and positions after the batch.

    Raises:
        Damaged: it is not as it was written.
    """
    _check(number, blob, _NAMES_HEAD.size)
    (_, num_entries) = _NAMES_HEAD.unpack_from(blob)
    _check_length(blob, _NAMES_HEAD.size + num_entries * _NAMES_BYTES_PER_ENTRY)
    columns = np.frombuffer(blob, "<i8", 2 * num_entries, _NAMES_HEAD.size)
    return columns[:num_entries], columns[num_entries:]


def encode_rows(number: int, batch: JournalBatch) -> bytes:
    """`rows` of the model's batch of that number."""
    num_rows, num_features = batch.rows.shape
    content = (
        struct.pack("<III", len(batch.keys), num_rows, num_features),
        batch.keys.astype("<i8", copy=False).tobytes(),
        batch.after.astype("<i8", copy=False).tobytes(),
        batch.last_times_us.astype("<i8", copy=False).tobytes(),
        (batch.after - batch.before).astype("<u4").tobytes(),
        batch.num_steps.astype("<u4").tobytes(),
        batch.rows.astype("<f8", copy=False).tobytes(),
    )
    return _sealed(number, b"".join(content))


def decode_rows(number: int, blob: bytes) -> JournalBatch:
    """The batch, its arrays read-only.

    Raises:
        Damaged: it is not as it was written.
    """
    _check(number, blob, _ROWS_HEAD.size)
    _, num_entries, num_rows, num_features = _ROWS_HEAD.unpack_from(blob)
    rows_at = _ROWS_HEAD.size + num_entries * _ROWS_BYTES_PER_ENTRY
    _check_length(blob, rows_at + num_rows * num_features * 8)
    wide = np.frombuffer(blob, "<i8", 3 * num_entries, _ROWS_HEAD.size).reshape(3, num_entries)
    narrow = np.frombuffer(blob, "<u4", 2 * num_entries, rows_at - 8 * num_entries).reshape(2, num_entries)
    rows = np.frombuffer(blob, "<f8", num_rows * num_features, rows_at).reshape(num_rows, num_features)
    keys, after, last_times_us = wide
    return JournalBatch(keys, after - narrow[0], after, last_times_us, narrow[1].astype(np.int64), rows)


def _sealed(number: int, content: bytes) -> bytes:
    return _checksum(number, content) + content


def _checksum(number: int, content: bytes | memoryview) -> bytes:
    # Begun with the number, so that a blob in another's place does not pass.
    return zlib.crc32(content, number & 0xFFFFFFFF).to_bytes(_CHECKSUM_BYTES, "little")


def _check(number: int, blob: object, least_bytes: int) -> None:
    if not isinstance(blob, bytes) or len(blob) < least_bytes:
        raise Damaged(f"{len(blob) if isinstance(blob, bytes) else 0} bytes, expected {least_bytes} or more")
    if _checksum(number, memoryview(blob)[_CHECKSUM_BYTES:]) != blob[:_CHECKSUM_BYTES]:
        raise Damaged("the checksum is wrong")


def _check_length(blob: bytes, expected: int) -> None:
    if len(blob) != expected:
        raise Damaged(f"{len(blob)} bytes, expected {expected}")
