"""The store in a file: SQLite, on a thread of its own."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from service.errors import StoreRefused, StoreUnavailable
from service.store import sqlite_commit, sqlite_end, sqlite_load, sqlite_records, sqlite_save
from service.store.contract import Changes, Committed, Listed, Record, Recovered, StoreFault
from service.store.known import Generations, KnownSessions
from service.store.sqlite_file import LOCK_TIMEOUT_S, Durability, SqliteFile
from service.store.sqlite_model import Lifetime, SqliteModel
from service.store.sqlite_numbers import Numbers

P = ParamSpec("P")
T = TypeVar("T")

# Rows that a restart steps again, about a second's work.
_MAX_TAIL_ROWS = 200_000
# Sessions of a model that are remembered, about 200 bytes each.
_MAX_KNOWN = 2_000_000


class SqliteStore:
    """See `SessionStore`. Rows are put into a journal at once, states are saved when they are given.

    What a `commit` has stored outlives any end of the process, with durability "power" the machine's too.
    One process at a time has the file. After a fault (a full disk, a file system that was away) the next
    call that can succeed does.
    """

    is_durable = True
    is_shared = False

    def __init__(
        self,
        path: Path,
        durability: Durability,
        ttl_s: float,
        clock: Callable[[], float],
        *,
        max_tail_rows: int = _MAX_TAIL_ROWS,
        max_known: int = _MAX_KNOWN,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
    ) -> None:
        """Open the file, or make it.

        Args:
            clock: tells the seconds since 1970-01-01 UTC.
            max_tail_rows: of a model's journal, above which `behind` asks for states.
            max_known: sessions of a model that are remembered without need.
            lock_timeout_s: to wait for another process to let the file go.

        Raises:
            StoreRefused: the file cannot be had, another process has it, or it is something else.
        """
        self._file = SqliteFile(path, durability, lock_timeout_s)
        try:
            self._numbers = Numbers(self._file)
        except StoreUnavailable as error:
            self._file.close()
            raise StoreRefused(str(path), error.reason) from error
        self._lifetime = Lifetime(ttl_s, clock)
        self._max_tail_rows, self._max_known = max_tail_rows, max_known
        self._generations = Generations()
        self._models: dict[str, SqliteModel] = {}
        self._num_openings = self._file.num_openings
        self._executor = ThreadPoolExecutor(1, "store")
        self._is_closed = False

    async def load(self, model: str, session_ids: Sequence[str]) -> list[Record | StoreFault | None]:
        """See `SessionStore`."""
        return await self._run(sqlite_load.load, model, session_ids)

    async def peek(self, model: str, session_id: str) -> Record | StoreFault | None:
        """See `SessionStore`."""
        return await self._run(sqlite_load.peek, model, session_id)

    async def commit(self, model: str, changes: Changes) -> Committed:
        """See `SessionStore`."""
        states = changes.states() if self._may_rewrite(model, changes) else None
        return await self._run(sqlite_commit.commit, model, changes, states)

    async def save(self, model: str, records: Sequence[Record]) -> list[int]:
        """See `SessionStore`."""
        return await self._run(sqlite_save.save, model, records)

    async def delete(self, model: str, session_id: str) -> bool:
        """See `SessionStore`."""
        return await self._run(sqlite_end.delete, model, session_id)

    async def page(self, model: str, prefix: str, after: str, limit: int) -> tuple[list[Listed], str]:
        """See `SessionStore`."""
        return await self._run(sqlite_load.page, model, prefix, after, limit)

    async def count(self, model: str, prefix: str = "") -> int:
        """See `SessionStore`."""
        return await self._run(_count, model, prefix)

    async def recover(self, model: str, num_features: int) -> Recovered:  # noqa: ARG002
        """See `SessionStore`. Rows have as many features as they had when they came."""
        return await self._run(SqliteModel.recovered, model)

    async def behind(self, model: str, limit: int) -> list[str]:
        """See `SessionStore`."""
        return await self._run(_behind, model, self._max_tail_rows, limit)

    def backlog(self, model: str) -> int:
        """See `SessionStore`. A number of the store's thread, a batch late at most."""
        known = self._models.get(model)
        return 0 if known is None else known.tail.num_rows

    async def expire(self, model: str, before_s: float) -> list[str]:
        """See `SessionStore`. Some at a time, so that commits come between."""
        ended: list[str] = []
        after: tuple[float, int] | None = sqlite_end.FIRST
        while after is not None:
            some, after = await self._run(sqlite_end.expire, model, before_s, after)
            ended += some
        return ended

    async def close(self) -> None:
        """See `SessionStore`."""
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.get_running_loop().run_in_executor(self._executor, self._close)
        self._executor.shutdown()

    async def _run(
        self, work: Callable[Concatenate[SqliteModel, P], T], model: str, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do some work on a model's sessions, on the store's thread, after all that was asked before."""
        if self._is_closed:
            raise StoreUnavailable("it is closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: work(self._model(model), *args, **kwargs))

    def _model(self, name: str) -> SqliteModel:
        self._file.refresh()
        if self._num_openings != self._file.num_openings:
            # What was known of the file may be wrong now, and tokens with it: all is loaded anew.
            self._numbers = Numbers(self._file)
            self._models.clear()
            self._num_openings = self._file.num_openings
        model = self._models.get(name)
        if model is None:
            known = KnownSessions(self._generations, self._max_known)
            model = SqliteModel(self._file, self._numbers, name, self._lifetime, known)
            self._models[name] = model
        else:
            model.scan = None
        return model

    def _may_rewrite(self, name: str, changes: Changes) -> bool:
        """Whether states seem to be needed: the store's thread, which decides, may know better by then."""
        model = self._models.get(name)
        if model is None:
            return False
        digests = model.known.digests_of(changes.tokens)
        return bool(((digests >= 0) & (digests != self._numbers.digest_or_none(changes.digest))).any())

    def _close(self) -> None:
        for model in self._models.values():
            sqlite_end.trim(model)
        self._file.close()


def _count(model: SqliteModel, prefix: str) -> int:
    with model.file.reading() as connection:
        return sqlite_records.count(connection, model.number, prefix)


def _behind(model: SqliteModel, max_tail_rows: int, limit: int) -> list[str]:
    return model.tail.behind(limit) if model.tail.num_rows > max_tail_rows else []
