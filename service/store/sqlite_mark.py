"""How far the journal had come, beside the file: so that a file that was cut does not pass for a whole one.

SQLite takes a log that ends early for a log that ends: what a cut took away was never there. A few bytes in
a file of their own, in memory that outlives the process, remember better.
"""

import mmap
import os
import struct
from pathlib import Path

_NUMBER = struct.Struct("<q")
_NUM_BYTES = 4096


class Mark:
    """The last batch's number of each model. It is told after each commit, and is never waited for.

    After a power failure it may be older or newer than the file: older is nothing, newer says that rows are
    lost which "power" would have kept.
    """

    def __init__(self, path: Path) -> None:
        """Where the mark cannot be had the store goes without."""
        self._memory: mmap.mmap | None = None
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            return
        try:
            # Written, not only made longer: memory that the disk has no room for would end the process.
            missing = _NUM_BYTES - os.fstat(file).st_size
            if missing > 0 and os.pwrite(file, bytes(missing), _NUM_BYTES - missing) < missing:
                return
            self._memory = mmap.mmap(file, _NUM_BYTES)
        except (OSError, ValueError):
            return
        finally:
            os.close(file)

    def read(self, model: int) -> int:
        """The last number that was told for a model; 0 where none was."""
        if self._memory is None or not self._has(model):
            return 0
        return int(_NUMBER.unpack_from(self._memory, model * _NUMBER.size)[0])

    def write(self, model: int, number: int) -> None:
        """Tell a model's last number."""
        if self._memory is not None and self._has(model):
            _NUMBER.pack_into(self._memory, model * _NUMBER.size, number)

    def close(self) -> None:
        """Let go."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    @staticmethod
    def _has(model: int) -> bool:
        return (model + 1) * _NUMBER.size <= _NUM_BYTES
