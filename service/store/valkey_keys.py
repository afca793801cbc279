"""Which keys of Valkey hold a session: by partition, so that a batch touches few hash slots of a Cluster."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt

NUM_PARTITIONS = 16

# The hash tags: what a Cluster hashes of a key. One digit each, so that keys of a model begin equally long.
PARTITION_TAGS = tuple(b"{p%x}" % partition for partition in range(NUM_PARTITIONS))

_RECENT = b"-recent"


@dataclass(frozen=True, eq=False, slots=True)
class Group:
    """Sessions that one call of a script reaches.

    Attributes:
        partition: of the sessions; of the first where they are of several.
        rows: which of the sessions that were asked for, ascending.
        records: (n,) keys of what is kept of each.
        recents: (n,) keys of their recent rows, or none.
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

    def __init__(self, namespace: str, one_call_reaches_all: bool, keeps_recent: bool) -> None:
        """Keys under a namespace.

        Args:
            namespace: what they begin with.
            one_call_reaches_all: a script may touch every partition, as it may not in a Cluster.
            keeps_recent: sessions have keys of recent rows.
        """
        self._namespace = namespace.encode()
        self._reaches_all = one_call_reaches_all
        self.keeps_recent = keeps_recent

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
        keys = [prefix[:-1] for prefix in self._prefixes(model)]
        return [(0, keys)] if self._reaches_all else [(n, [key]) for n, key in enumerate(keys)]

    def _group(
        self, model: str, rows: npt.NDArray[np.int64], ids: list[bytes], partitions: list[int]
    ) -> Group:
        prefixes, chosen = self._prefixes(model), rows.tolist()
        records = [prefixes[partitions[row]] + ids[row] for row in chosen]
        touched = sorted({partitions[row] for row in chosen})
        indexes = [prefixes[partition][:-1] for partition in touched]
        # After the namespace both keys of a session are the same.
        start = len(self._namespace) if self.keeps_recent else None
        recents = [] if start is None else [self._namespace + _RECENT + key[start:] for key in records]
        return Group(touched[0], rows, records, recents, indexes)

    def _prefixes(self, model: str) -> list[bytes]:
        """What a session's key begins with, by partition."""
        name = model.encode()
        return [b"%b:%b:%b:" % (self._namespace, tag, name) for tag in PARTITION_TAGS]
