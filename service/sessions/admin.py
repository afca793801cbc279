"""Reading, copying, moving and ending sessions, between two batches."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import replace as replaced
from typing import Any, Protocol, TypeVar

import numpy as np
import structlog

from service.errors import DamagedState, ForeignState, SessionExists, StoreUnavailable, UnknownSession
from service.sessions.frame import Frame
from service.sessions.info import SessionEvent, SessionInfo, Snapshot
from service.sessions.residency import Listener, Residency
from service.sessions.versions import Loaded
from service.store.contract import NO_TIME, NO_TOKEN, Listed, Record, StoreFault
from service.tenant import own_id

_log = structlog.get_logger()
# Ids that are looked at in the turn of the event loop that asks for them.
_MANY = 10_000
_T = TypeVar("_T")


class Between(Protocol):
    """`SessionWorker.between_batches`."""

    def __call__(self, act: Callable[[], Coroutine[Any, Any, _T]]) -> Coroutine[Any, Any, _T]: ...


class SessionAdmin:
    """What is done to single sessions beside their rows. Each call stands between two batches."""

    def __init__(self, residency: Residency, between: Between, submit: Callable[[Frame], None]) -> None:
        self._residency = residency
        self._table = residency.table
        self._store = residency.store
        self._between = between
        self._submit = submit
        self._borrowed = itertools.count()

    async def read(self, session_id: str) -> Snapshot:
        """A session as it stands; rows that still wait are not in it. Changes nothing.

        Raises:
            UnknownSession: there is none.
            DamagedState: the store cannot read it.
            StoreUnavailable: the store would have to be asked.
        """
        return await self._between(lambda: self._read(session_id))

    async def write(self, record: Record, *, replace: bool, event: SessionEvent | None = None) -> Snapshot:
        """Open a session as a record says, or put it in place of the one that has the id.

        Raises:
            SessionExists: the id is taken, and `replace` is not set.
            ForeignState: the state is of no version that is served.
            TooManySessions: there is no room.
            StoreUnavailable: nothing was done.
        """
        return await self._between(lambda: self._write(record, replace, event))

    async def is_open(self, session_id: str) -> bool:
        """Whether there is such a session, one that cannot be read counted in. Does not wait for a batch.

        Raises:
            StoreUnavailable: the store would have to be asked.
        """
        if self._table.find_or_none(session_id) is not None:
            return True
        try:
            return await self._stored(session_id) is not None
        except DamagedState:
            return True

    async def delete(self, session_id: str) -> Snapshot:
        """End a session; rows that wait for it begin a new one. Returns it as it stood.

        Raises:
            UnknownSession: there is none.
            StoreUnavailable: it is there still.
        """
        return await self._between(lambda: self._delete(session_id))

    async def page(self, prefix: str, after: str, limit: int) -> tuple[list[SessionInfo], str]:
        """Sessions whose ids begin with `prefix`, and `after` for the next page, "" where there is none."""
        if self._store.is_durable:
            return await self._between(lambda: self._stored_page(prefix, after, limit))
        # Two sources in order of id: what is in memory, and what has left it.
        others, names = await self._between(lambda: self._named(prefix, after, limit))

        def pick() -> list[str]:
            named = (n for n in names if n > after and n.startswith(prefix) and n not in others)
            return heapq.nsmallest(limit + 1, itertools.chain(others, named))

        # To look at a million takes a second, in which others are served.
        found = await asyncio.to_thread(pick) if len(names) > _MANY else pick()
        infos = await self._between(lambda: self._infos(found[:limit], others))
        return infos, found[limit - 1] if len(found) > limit else ""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """See `Residency.subscribe`."""
        return self._residency.subscribe(listener)

    def initial_record(self, session_id: str) -> Record:
        """A session that has consumed nothing, of the newest version."""
        newest = self._residency.versions.newest
        digest = newest.model.manifest.digest
        return Record(session_id, digest, 0, NO_TIME, newest.states.initial())

    async def advance_record(self, record: Record, frame_of: Callable[[int], Frame]) -> Record:
        """Step a state that no session has: nothing of it is kept.

        Args:
            frame_of: makes the frame for the slot that the state lies in meanwhile.

        Returns:
            The session after the frame, as it was before where the frame's entry was refused.

        Raises:
            ForeignState: the state is of no version that is served.
            TooManySessions: there is no room.
        """
        after: asyncio.Future[Record] = asyncio.get_running_loop().create_future()

        async def submit() -> None:
            await self._residency.placement.fetch_versions([record])
            slot = self._borrow()
            try:
                self._residency.placement.place(slot, record)
                frame = frame_of(slot)
            except Exception:
                self._give_back(slot)
                raise
            told = frame.done

            def done(frame: Frame) -> object:
                moved = self._residency.placement.record(slot)
                self._give_back(slot)
                if not after.done():
                    after.set_result(replaced(moved, session_id=record.session_id))
                return told(frame)

            frame.done = done
            self._submit(frame)

        await self._between(submit)
        return await after

    async def version_of(self, digest: str) -> Loaded:
        """The version that states of a model file belong to, from the repository where it is not loaded.

        Raises:
            ForeignState: there is none.
        """
        loaded = self._residency.versions.by_digest(digest)
        return loaded if loaded is not None else await self._between(lambda: self._version_of(digest))

    async def _read(self, session_id: str) -> Snapshot:
        slot = self._table.find_or_none(session_id)
        if slot is not None:
            return Snapshot(self._residency.placement.info(slot), self._residency.placement.record(slot))
        record = await self._stored(session_id)
        if record is None:
            raise UnknownSession(self._residency.name, session_id)
        if record.tail is not None or not record.states:
            await self._residency.placement.fetch_versions([record])
            record = self._up_to_date(record)
        return Snapshot(self._residency.placement.info_of(record), record)

    async def _version_of(self, digest: str) -> Loaded:
        await self._residency.placement.fetch_versions([Record("", digest, 0, NO_TIME, b"")])
        return self._residency.placement.version_of(digest)

    def _up_to_date(self, record: Record) -> Record:
        """With the states after the rows that the store has beyond them."""
        slot = self._borrow()
        try:
            self._residency.placement.place(slot, record)
            moved = self._residency.placement.record(slot)
            return replaced(moved, session_id=record.session_id, used_at_s=record.used_at_s)
        finally:
            self._give_back(slot)

    async def _stored(self, session_id: str) -> Record | None:
        """A session that is not in memory, as the store has it or will."""
        leaving = self._residency.leaving.get(session_id)
        if leaving is not None or not self._table.must_load:
            return leaving
        found = await self._store.peek(self._residency.name, session_id)
        if isinstance(found, StoreFault):
            raise DamagedState(f"session {own_id(session_id)!r}", found.reason)
        return found

    async def _is_stored(self, session_id: str) -> bool:
        """Whether a session that is not in memory exists, be it readable or not."""
        try:
            return await self._stored(session_id) is not None
        except DamagedState:
            return True

    async def _write(self, record: Record, replace: bool, event: SessionEvent | None) -> Snapshot:
        residency, session_id = self._residency, record.session_id
        is_in_memory = self._table.find_or_none(session_id) is not None
        is_there = is_in_memory or await self._is_stored(session_id)
        if is_there and not replace:
            raise SessionExists(residency.name, session_id)
        if not is_there:
            residency.check_room()
            await residency.admit(session_id)
        await residency.placement.fetch_versions([record])
        residency.placement.check(record)
        # Its slot first: a session without one must not be stored.
        slot = self._resolve(session_id)
        try:
            token = await self._save(record)
        except StoreUnavailable:
            if not is_in_memory:
                self._table.unload(np.array([slot]))
            raise
        residency.leaving.drop(session_id)
        residency.placement.place(slot, replaced(record, token=token))
        if event is not None:
            residency.tell(event, residency.placement.info(slot))
        return Snapshot(residency.placement.info(slot), residency.placement.record(slot))

    async def _save(self, record: Record) -> int:
        """In place of whatever the store has; returns the token."""
        model = self._residency.name
        if self._store.is_durable:
            (token,) = await self._store.save(model, [replaced(record, token=NO_TOKEN)])
            return token
        await self._store.delete(model, record.session_id)
        return NO_TOKEN

    async def _delete(self, session_id: str) -> Snapshot:
        residency = self._residency
        try:
            snapshot = await self._read(session_id)
        except (DamagedState, ForeignState) as error:
            # What cannot be read can still be ended; that is what a damaged session is good for.
            _log.warning("a session that cannot be read is ended", reason=str(error))
            unknown = Record(session_id, "", 0, NO_TIME, b"")
            snapshot = Snapshot(residency.placement.info_of(unknown), unknown)
        await self._store.delete(residency.name, session_id)
        residency.leaving.drop(session_id)
        residency.ended_one(session_id)
        slot = self._table.find_or_none(session_id)
        if slot is not None:
            residency.end(slot)
        else:
            residency.num_elsewhere = max(residency.num_elsewhere - 1, 0)
        residency.tell(SessionEvent.DELETED, snapshot.info)
        return snapshot

    async def _stored_page(self, prefix: str, after: str, limit: int) -> tuple[list[SessionInfo], str]:
        listed, following = await self._store.page(self._residency.name, prefix, after, limit)
        return [self._info(each) for each in listed], following

    async def _named(self, prefix: str, after: str, limit: int) -> tuple[dict[str, Listed], list[str]]:
        """What has left memory, as far as a page may have it, and the ids of all that is there."""
        spilled, _ = await self._store.page(self._residency.name, prefix, after, limit + 1)
        return {each.session_id: each for each in spilled}, self._table.names()

    async def _infos(self, session_ids: list[str], others: dict[str, Listed]) -> list[SessionInfo]:
        """Of sessions that were found a moment ago; those that have ended since are left out."""
        infos = []
        for session_id in session_ids:
            slot = self._table.find_or_none(session_id)
            if slot is not None:
                infos.append(self._residency.placement.info(slot))
            elif session_id in others:
                infos.append(self._info(others[session_id]))
            elif (record := await self._stored(session_id)) is not None:
                infos.append(self._residency.placement.info_of(record))
        return infos

    def _info(self, listed: Listed) -> SessionInfo:
        """Of a session in a page of the store's; memory knows better where it has it."""
        slot = self._table.find_or_none(listed.session_id)
        if slot is not None:
            return self._residency.placement.info(slot)
        record = Record(
            listed.session_id, listed.digest, listed.position, listed.last_time_us, b"", b"", listed.used_at_s
        )
        return self._residency.placement.info_of(record)

    def _resolve(self, session_id: str) -> int:
        """A slot for a session that is about to be placed: it need not be loaded."""
        slot = self._table.resolve(session_id)
        if slot in self._table.unloaded:
            self._table.unloaded.remove(slot)
        self._residency.reset_dirty()
        return slot

    def _borrow(self) -> int:
        """A slot of no session's; no session's id holds a control character."""
        slot = self._resolve(f"\0{next(self._borrowed)}")
        self._table.borrowed.add(slot)
        return slot

    def _give_back(self, slot: int) -> None:
        self._table.borrowed.discard(slot)
        self._table.forget(slot)
