"""What is kept of a session beyond memory, and what every store can do.

A store holds the sessions of many models. Numbers of one session:

- `token`: the store's own, given by `load` and `commit`; whoever commits shows it. A store that
  others write too (Valkey) refuses a token that somebody else's `load` has replaced: it is the fence.
- `position`: rows consumed. A commit says from which position to which it leads, so that a row can
  never be stored twice or left out.

Errors: `StoreUnavailable` (nothing is known to have been done; the caller forgets what it has in memory
and loads again), `StoreCorrupt` (a record is damaged; others are not touched).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

# Before every time that a row may have.
NO_TIME = np.iinfo(np.int64).min
# The token of a session that no store knows yet.
NO_TOKEN = 0


@dataclass(frozen=True, slots=True)
class Record:
    """A session as it stands.

    Attributes:
        digest: of the model file that its states belong to.
        position: rows consumed.
        last_time_us: or NO_TIME.
        states: the state tensors in the manifest's order, C order, little-endian, one after the other;
            empty for the model's initial states, at position 0.
        recent: the last rows that stepped the model, (R, F) float64, oldest first, missing steps as NaN
            rows; empty where none are kept.
        used_at_s: when a row last came, seconds since 1970-01-01 UTC.
        token: see above.
        tail: rows that were committed after `position`; None where there are none. `load` and `peek` give it.
    """

    session_id: str
    digest: str
    position: int
    last_time_us: int
    states: bytes
    recent: bytes = b""
    used_at_s: float = 0.0
    token: int = NO_TOKEN
    tail: "Tail | None" = None


@dataclass(frozen=True, eq=False, slots=True)
class Tail:
    """Rows that bring the states of a record up to date: a store that keeps rows has no states of its own.

    Attributes:
        rows: (n, F) float64 to step the states with, oldest first, missing steps as NaN rows.
        position: where the session stands after them; it may have moved further than by n.
        last_time_us: after them, or NO_TIME.
    """

    rows: npt.NDArray[np.float64] = field(repr=False)
    position: int
    last_time_us: int


@dataclass(frozen=True, eq=False, slots=True)
class Changes:
    """What one batch did to N distinct sessions of one model.

    Attributes:
        session_ids: (N,).
        tokens: (N,), NO_TOKEN for a session that is new; refused where the id is taken.
        before: (N,) positions that the sessions stood at.
        after: (N,) positions that they stand at now.
        last_times_us: (N,) their last times now, or NO_TIME.
        num_steps: (N,) rows of `rows` that stepped each session; 0 where only its position moved.
        rows: (sum of num_steps, F) float64, entries one after the other, missing steps as NaN rows.
        digest: of the model that stepped them, and from now on the sessions'.
        at_s: now, seconds since 1970-01-01 UTC.
        states: reads the states after the batch, (N, state bytes) uint8, laid out as in `Record`. Called
            before `commit` first yields, or never: a store that keeps rows need not copy states.
    """

    session_ids: Sequence[str]
    tokens: Integers
    before: Integers
    after: Integers
    last_times_us: Integers
    num_steps: Integers
    rows: npt.NDArray[np.float64]
    digest: str
    at_s: float
    states: Callable[[], npt.NDArray[np.uint8]]


@dataclass(frozen=True, eq=False, slots=True)
class Committed:
    """What became of a batch's N sessions.

    Attributes:
        tokens: (N,) to show next time.
        refused: of those that were not stored, the index: their token or position is not the store's any
            more, somebody else has the session. Nothing of theirs was changed.
    """

    tokens: Integers
    refused: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A session in a `page`; states are not read."""

    session_id: str
    digest: str
    position: int
    last_time_us: int
    used_at_s: float


@dataclass(frozen=True, eq=False, slots=True)
class Recovered:
    """After a restart: sessions whose journalled rows are ahead of their states, and those rows.

    Attributes:
        records: as of their last checkpoint, tokens valid.
        tail: batches of rows after those, oldest first. An entry whose session is not in `records`, or
            whose `after` is not above its record's position, is to be skipped.
    """

    records: Sequence[Record] = ()
    tail: Sequence["TailBatch"] = ()


@dataclass(frozen=True, eq=False, slots=True)
class TailBatch:
    """Columns of one journalled batch; as in `Changes`, sessions by `index` into `Recovered.records`."""

    index: Integers
    before: Integers
    after: Integers
    last_times_us: Integers
    num_steps: Integers
    rows: npt.NDArray[np.float64] = field(repr=False)
    at_s: float = 0.0


class SessionStore(Protocol):
    """Keeps sessions. Called from the event loop; blocks it nowhere. One `commit` at a time per model.

    Attributes:
        is_durable: whether what was committed outlives this process. Where not, `commit` is never called:
            only `save` (a session leaves memory) and `load` (it comes back).
        is_shared: whether other processes may write the same sessions. Then states are stored with each
            commit, a session in memory may lose its token to another process, and `save` of a committed
            session does nothing.
    """

    is_durable: bool
    is_shared: bool

    async def load(self, model: str, session_ids: Sequence[str]) -> "list[Record | StoreFault | None]":
        """Sessions by id, in the ids' order, None where there is none or its time to live is over.

        Takes each session over: its token is new, and those given before are refused from now on.

        Raises:
            StoreUnavailable: none was loaded.
        """
        ...

    async def peek(self, model: str, session_id: str) -> "Record | StoreFault | None":
        """As `load` of one, but taking nothing over: whoever has the session keeps it, the token is NO_TOKEN.

        Raises:
            StoreUnavailable: it cannot be read now.
        """
        ...

    async def commit(self, model: str, changes: Changes) -> Committed:
        """Store a batch: every session of it or, where it raises, none. Returns when it is as durable as the
        store promises.

        Raises:
            StoreUnavailable: whether it was stored is not known; load before going on.
        """
        ...

    async def save(self, model: str, records: Sequence[Record]) -> list[int]:
        """Put sessions in whole: new ones (fork, import; token NO_TOKEN, replacing what bears the id), reset
        ones, checkpoints, and those that leave memory. Returns their tokens.

        A record with a token is refused where the token is not the store's any more. One that commits have
        overtaken, at a position above 0 but below theirs, is an old checkpoint: no committed row gets lost.

        Raises:
            StoreUnavailable: none was stored.
            TokenLost: names the sessions; none was stored.
        """
        ...

    async def delete(self, model: str, session_id: str) -> bool:
        """End a session for everybody; False where there is none."""
        ...

    async def page(self, model: str, prefix: str, after: str, limit: int) -> tuple[list[Listed], str]:
        """A page of sessions whose ids begin with `prefix`, and what to give as `after` for the next page.

        `after` is "" for the first page and after the last. Order is the store's; a session that is there
        throughout is listed once.
        """
        ...

    async def count(self, model: str, prefix: str = "") -> int:
        """Sessions whose ids begin with `prefix`, those whose time to live is over perhaps counted in."""
        ...

    async def recover(self, model: str, num_features: int) -> Recovered:
        """Once, before anything else of a model: what the journal holds beyond the states."""
        ...

    async def behind(self, model: str, limit: int) -> list[str]:
        """Sessions to `save` soon, first those whose rows are longest ahead of their saved states.

        None while the journal is short, or where states are stored with each commit.
        """
        ...

    def backlog(self, model: str) -> int:
        """Rows that its sessions' saved states lack: a restart would step them again; for whoever watches."""
        ...

    async def expire(self, model: str, before_s: float) -> list[str]:
        """End sessions not used since; returns their ids as far as the store knows them."""
        ...

    async def close(self) -> None:
        """Finish what is under way and let go."""
        ...


@dataclass(frozen=True, slots=True)
class StoreFault:
    """A record that cannot be read: damaged. Others are not touched."""

    session_id: str
    reason: str
