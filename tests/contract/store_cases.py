"""What the stores' tests share: the stores, and a model whose state is easily told from its rows.

To put another store to the tests, add its `StoreKind` to `STORES`.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from service.store.contract import (
    NO_TIME,
    NO_TOKEN,
    Changes,
    Committed,
    Record,
    Recovered,
    SessionStore,
    StoreFault,
)
from service.store.memory import MemoryStore
from service.store.sqlite_file import Durability
from service.store.sqlite_store import SqliteStore
from tests.contract.valkey_backing import on_a_cluster, on_one_server

MODEL = "meters"
OTHER_MODEL = "shops"
DIGEST = "sha256:a"
OTHER_DIGEST = "sha256:b"
NUM_FEATURES = 2
TTL_S = 1_000.0
START_S = 1_700_000_000.0


class HandClock:
    """Seconds since 1970-01-01 UTC, moved only by hand."""

    def __init__(self) -> None:
        self.now_s = START_S

    def __call__(self) -> float:
        """Now."""
        return self.now_s


class Backing(Protocol):
    """Where a store of a kind keeps its sessions; empty at first."""

    def open(self, clock: HandClock) -> SessionStore:
        """A store on this backing, with TTL_S. For kinds that are shared, several may be open at once."""
        ...


@dataclass(frozen=True)
class StoreKind:
    """A kind of store under test.

    Attributes:
        make: an empty backing for one test, given an empty folder; skips the test where it cannot be had.
        is_durable: see `SessionStore`.
        is_shared: see `SessionStore`.
        is_spread: over several servers, each of which stores its part of a batch or does not.
    """

    name: str
    make: Callable[[Path], contextlib.AbstractContextManager[Backing]]
    is_durable: bool
    is_shared: bool
    is_spread: bool = False


class _Memory:
    def open(self, clock: HandClock) -> SessionStore:
        return MemoryStore(TTL_S, clock)


@contextlib.contextmanager
def _memory(_: Path) -> Iterator[Backing]:
    yield _Memory()


@dataclass(frozen=True)
class _Sqlite:
    path: Path
    durability: Durability

    def open(self, clock: HandClock) -> SessionStore:
        return SqliteStore(self.path, self.durability, TTL_S, clock)


def _sqlite(durability: Durability) -> Callable[[Path], contextlib.AbstractContextManager[Backing]]:
    return lambda folder: contextlib.nullcontext(_Sqlite(folder / "store.db", durability))


STORES = [
    StoreKind("memory", _memory, is_durable=False, is_shared=False),
    StoreKind("sqlite", _sqlite("process"), is_durable=True, is_shared=False),
    StoreKind("sqlite-power", _sqlite("power"), is_durable=True, is_shared=False),
    StoreKind("valkey", partial(on_one_server, ttl_s=TTL_S), is_durable=True, is_shared=True),
    StoreKind(
        "valkey-cluster", partial(on_a_cluster, ttl_s=TTL_S), is_durable=True, is_shared=True, is_spread=True
    ),
]


@dataclass(frozen=True)
class Truth:
    """A session of the toy model: its state is the sum of all values but missing ones, and its steps."""

    position: int = 0
    last_time_us: int = NO_TIME
    total: float = 0.0
    num_steps: int = 0
    digest: str = DIGEST
    used_at_s: float = START_S

    @property
    def states(self) -> bytes:
        """As in `Record`."""
        return np.array([self.total, self.num_steps], "<f8").tobytes()

    def after(self, rows: np.ndarray) -> "Truth":
        """Stepped by rows (n, F)."""
        return replace(self, total=self.total + float(np.nansum(rows)), num_steps=self.num_steps + len(rows))

    def record(self, session_id: str, token: int = NO_TOKEN) -> Record:
        """To `save`."""
        return Record(
            session_id,
            self.digest,
            self.position,
            self.last_time_us,
            self.states,
            used_at_s=self.used_at_s,
            token=token,
        )


def truth_of(record: Record | StoreFault | None) -> Truth:
    """What a loaded record says, its tail stepped."""
    assert isinstance(record, Record), record
    total, num_steps = np.frombuffer(record.states, "<f8") if record.states else (0.0, 0)
    assert record.states or record.position == 0
    told = Truth(
        record.position, record.last_time_us, float(total), int(num_steps), record.digest, record.used_at_s
    )
    if record.tail is None:
        return told
    assert record.tail.rows.shape[1:] == (NUM_FEATURES,)
    told = told.after(record.tail.rows)
    return replace(told, position=record.tail.position, last_time_us=record.tail.last_time_us)


@dataclass
class Entry:
    """One session's part of a batch.

    Attributes:
        was: where it stood.
        values: its rows' values, each row's features alike; NaN for a missing step.
        num_dropped: rows that moved the position and stepped nothing.
    """

    session_id: str
    values: Sequence[float]
    was: Truth = Truth()
    token: int = NO_TOKEN
    last_time_us: int = NO_TIME
    num_dropped: int = 0

    @property
    def rows(self) -> np.ndarray:
        """(n, F) float64."""
        return np.repeat(np.array(self.values, np.float64)[:, None], NUM_FEATURES, axis=1)

    def next(self, token: int, *values: float, at_s: float = START_S) -> "Entry":
        """The session's next entry, this one committed."""
        return Entry(self.session_id, values, was=self.then(at_s), token=token)

    def then(self, at_s: float, digest: str = DIGEST) -> Truth:
        """Where it stands once this is committed."""
        return replace(
            self.was.after(self.rows),
            position=self.was.position + len(self.values) + self.num_dropped,
            last_time_us=self.was.last_time_us if self.last_time_us == NO_TIME else self.last_time_us,
            digest=digest,
            used_at_s=at_s,
        )


def changes(entries: Sequence[Entry], at_s: float = START_S, digest: str = DIGEST) -> Changes:
    """A batch of them."""
    then = [entry.then(at_s, digest) for entry in entries]
    rows = [entry.rows for entry in entries]
    return Changes(
        session_ids=[entry.session_id for entry in entries],
        tokens=np.array([entry.token for entry in entries], np.int64),
        before=np.array([entry.was.position for entry in entries], np.int64),
        after=np.array([truth.position for truth in then], np.int64),
        last_times_us=np.array([truth.last_time_us for truth in then], np.int64),
        num_steps=np.array([len(each) for each in rows], np.int64),
        rows=np.concatenate(rows),
        digest=digest,
        at_s=at_s,
        states=lambda: np.stack([np.frombuffer(truth.states, np.uint8) for truth in then]),
    )


async def commit(
    store: SessionStore, entries: Sequence[Entry], at_s: float = START_S, digest: str = DIGEST
) -> Committed:
    """Commit a batch to MODEL."""
    return await store.commit(MODEL, changes(entries, at_s, digest))


async def begin(store: SessionStore, session_ids: Sequence[str], *values: float) -> list[Entry]:
    """New sessions with rows of these values, committed; their next entries, which have no rows."""
    entries = [Entry(session_id, values or [1.0], last_time_us=60_000_000) for session_id in session_ids]
    committed = await commit(store, entries)
    assert list(committed.refused) == []
    return [entry.next(token) for entry, token in zip(entries, committed.tokens.tolist(), strict=True)]


async def truths(store: SessionStore, session_ids: Sequence[str], model: str = MODEL) -> list[Truth]:
    """Where sessions stand; nobody loses them by it."""
    return [truth_of(await store.peek(model, session_id)) for session_id in session_ids]


def a_truth(position: int = 3, total: float = 6.0) -> Truth:
    """A session that has had some rows."""
    return Truth(position=position, last_time_us=10_000, total=total, num_steps=position)


async def load_one(store: SessionStore, session_id: str, model: str = MODEL) -> Record:
    """A session that is there."""
    (record,) = await store.load(model, [session_id])
    assert isinstance(record, Record), record
    return record


def caught_up(recovered: Recovered) -> dict[str, Truth]:
    """Where recovered sessions stand once their tail has been stepped, as a server does it."""
    stands = [truth_of(record) for record in recovered.records]
    for batch in recovered.tail:
        ends = np.cumsum(batch.num_steps)
        for at, index in enumerate(batch.index.tolist()):
            was = stands[index]
            if batch.after[at] <= was.position:
                continue
            assert batch.before[at] == was.position, "rows are missing from the tail"
            stands[index] = replace(
                was.after(batch.rows[ends[at] - batch.num_steps[at] : ends[at]]),
                position=int(batch.after[at]),
                last_time_us=int(batch.last_times_us[at]),
                used_at_s=batch.at_s,
            )
    return {record.session_id: truth for record, truth in zip(recovered.records, stands, strict=True)}
