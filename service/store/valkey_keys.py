"""Which keys of Valkey hold a session: by partition, so that a batch touches few hash slots of a Cluster."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from zlib import crc32

import numpy as np
import numpy.typing as npt

NUM_PARTITIONS = 16

# The hash tags: what a Cluster hashes of a key. One digit each, so that keys of a model begin equally long.
PARTITION_TAGS = tuple(b"{p%x}" % partition for partition in range(NUM_PARTITIONS))


@dataclass(frozen=True, eq=False, slots=True)
class Group:
    """Sessions that one call of a script reaches.

    Attributes:
        partition: of the sessions; of the first where they are of several.
        rows: which of the sessions that were asked for, ascending.
        records: (n,) keys of what is kept of each.
        recents: (n,) keys of their recent rows.
        indexes: the keys of the lists of ids that name them, one a partition.
    """

    partition: int
    rows: npt.NDArray[np.int64]
    records: list[bytes]
    recents: list[bytes]
    indexes: list[bytes]


class Keyspace:
    """Names keys: `<namespace>:{pN}:<model>:<session id>` and, for recent rows, `<namespace>-recent:...`.

    Without the session id it is the key of the partition's list of ids.
    """

    def __init__(self, namespace: str, one_call_reaches_all: bool) -> None:
        """`one_call_reaches_all`: a script may touch every partition, as it may not in a Cluster."""
        self._namespace = namespace.encode()
        self._reaches_all = one_call_reaches_all

    def groups(self, model: str, session_ids: Sequence[str], limit: int) -> Iterator[Group]:
        """The sessions in as few groups of at most `limit` as may be."""
        ids = [session_id.encode() for session_id in session_ids]
        partitions = [crc32(session_id) % NUM_PARTITIONS for session_id in ids]
        if self._reaches_all:
            runs = [np.arange(len(ids))]
        else:
            order = np.argsort(partitions, kind="stable")
            runs = np.split(order, np.flatnonzero(np.diff(np.asarray(partitions)[order])) + 1)
        for run in runs:
            for start in range(0, len(run), limit):
                yield self._group(model, run[start : start + limit], ids, partitions)

    def indexes(self, model: str) -> list[tuple[int, list[bytes]]]:
        """Keys of the lists of ids, by call: the partition and the keys."""
        keys = [_prefix(self._namespace, model, partition)[:-1] for partition in range(NUM_PARTITIONS)]
        return [(0, keys)] if self._reaches_all else [(n, [key]) for n, key in enumerate(keys)]

    def _group(
        self, model: str, rows: npt.NDArray[np.int64], ids: list[bytes], partitions: list[int]
    ) -> Group:
        records = [_prefix(self._namespace, model, partitions[row]) + ids[row] for row in rows.tolist()]
        # The namespace is longer by this; everything after it is the same.
        recents = [self._namespace + b"-recent" + key[len(self._namespace) :] for key in records]
        touched = sorted({partitions[row] for row in rows.tolist()})
        indexes = [_prefix(self._namespace, model, partition)[:-1] for partition in touched]
        return Group(touched[0], rows, records, recents, indexes)


@lru_cache(maxsize=4096)
def _prefix(namespace: bytes, model: str, partition: int) -> bytes:
    return b"%b:%b:%b:" % (namespace, PARTITION_TAGS[partition], model.encode())
