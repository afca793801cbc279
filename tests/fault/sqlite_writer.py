"""A process that writes sessions until it is killed or told that it cannot.

    python -m tests.fault.sqlite_writer FILE DURABILITY NUM_BATCHES [MAX_FILE_BYTES]

Row k of every session has the value k, and its state is their sum and number. After each answer of the store
a line goes out: the positions that were acknowledged, or what the store said instead. With MAX_FILE_BYTES
no file may grow beyond them until the store has said so three times.
"""

import asyncio
import json
import random
import resource
import sys
import time
from pathlib import Path

import numpy as np

from service.errors import StoreUnavailable
from service.store.contract import NO_TIME, NO_TOKEN, Changes, Record
from service.store.sqlite_file import Durability
from service.store.sqlite_store import SqliteStore

MODEL = "meters"
NAMES = [f"meter-{number}" for number in range(40)]
_TTL_S = 1e9


def total(position: int) -> float:
    """The sum of a session's first rows."""
    return position * (position - 1) / 2


def states(position: int) -> bytes:
    """The states of a session that has had so many rows."""
    return np.array([total(position), position], "<f8").tobytes()


class Writer:
    """Holds sessions as a server does."""

    def __init__(self, path: Path, durability: Durability) -> None:
        self.store = SqliteStore(path, durability, _TTL_S, time.time, max_tail_rows=200)
        self.held: dict[str, tuple[int, int]] = {}
        self.random = random.Random(path.stat().st_size)

    async def load(self) -> None:
        """All sessions, as the store has them."""
        for name, record in zip(NAMES, await self.store.load(MODEL, NAMES), strict=True):
            if record is None:
                self.held[name] = (NO_TOKEN, 0)
                continue
            assert isinstance(record, Record), record
            position = record.position if record.tail is None else record.tail.position
            self.held[name] = (record.token, position)

    async def commit(self) -> dict[str, int]:
        """One to three rows for some sessions; their positions."""
        names = self.random.sample(NAMES, self.random.randint(1, len(NAMES)))
        tokens = np.array([self.held[name][0] for name in names])
        before = np.array([self.held[name][1] for name in names])
        num_steps = np.array([self.random.randint(1, 3) for _ in names])
        after = before + num_steps
        values = np.concatenate([np.arange(*pair) for pair in zip(before, after, strict=True)])
        changes = Changes(
            session_ids=names,
            tokens=tokens,
            before=before,
            after=after,
            last_times_us=np.full(len(names), NO_TIME),
            num_steps=num_steps,
            rows=values.astype(np.float64)[:, None],
            digest="sha256:a",
            at_s=time.time(),
            states=lambda: np.zeros((len(names), 16), np.uint8),
        )
        committed = await self.store.commit(MODEL, changes)
        assert list(committed.refused) == []
        self.held |= dict(
            zip(names, zip(committed.tokens.tolist(), after.tolist(), strict=True), strict=True)
        )
        return dict(zip(names, after.tolist(), strict=True))

    async def save(self) -> None:
        """Checkpoints of sessions that are behind."""
        behind = await self.store.behind(MODEL, 10)
        records = [
            Record(
                name,
                "sha256:a",
                self.held[name][1],
                NO_TIME,
                states(self.held[name][1]),
                b"",
                time.time(),
                token,
            )
            for name in behind
            for token in [self.held[name][0]]
        ]
        await self.store.save(MODEL, records)

    async def run(self, num_batches: int, limits_files: bool) -> None:
        """Commit and save; after a refusal load again, as a server does."""
        await self.load()
        print(json.dumps({}), flush=True)
        num_refused = 0
        for _ in range(num_batches):
            try:
                acknowledged = await self.commit()
                print(json.dumps(acknowledged), flush=True)
                await self.save()
            except StoreUnavailable as error:
                print(json.dumps({"refused": str(error)}), flush=True)
                num_refused += 1
                if num_refused == 3 and limits_files:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
                await self.load()
        await self.store.close()


def main() -> None:
    """See the module."""
    path, durability, num_batches, *limit = sys.argv[1:]
    assert durability in ("process", "power")
    writer = Writer(Path(path), durability)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit[0]), resource.RLIM_INFINITY))
    asyncio.run(writer.run(int(num_batches), bool(limit)))


if __name__ == "__main__":
    main()
