"""`Sessions` for asyncio."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, Self, TypeVar

import grpc
from google.protobuf.message import Message

from statecast import status
from statecast.async_stream import remote, run
from statecast.errors import Unacknowledged
from statecast.flow import Flow, Step, T
from statecast.session_info import SessionEvent, SessionInfo, events_from
from statecast.sessions_flow import MAX_PAGE_SIZE, SessionsFlow
from statecast.watched_row import RowReader, WatchedEvent, WatchedRow

W = TypeVar("W")


class AsyncSessions:
    """`Sessions`, awaited; see there for what each method does, returns and raises."""

    def __init__(self, core: SessionsFlow, perform: Callable[[Step], Awaitable[Any]]) -> None:
        self._core, self._perform = core, perform

    async def get(self, session_id: str) -> SessionInfo:
        """A session as it stands."""
        return await self._run(self._core.get(session_id))

    async def list(self, prefix: str = "", page_size: int = MAX_PAGE_SIZE) -> AsyncIterator[SessionInfo]:
        """Sessions whose id begins with `prefix`; `async for` asks for a page at a time."""
        token = ""
        while True:
            page = await self._run(self._core.page(prefix, page_size, token))
            for session in page.sessions:
                yield session
            token = page.next_token
            if not token:
                return

    async def reset(self, session_id: str) -> SessionInfo:
        """Put a session back to its beginning: the initial state, position 0."""
        return await self._run(self._core.reset(session_id))

    async def fork(self, session_id: str, new_session_id: str) -> SessionInfo:
        """Copy a session as it stands; the original is not touched."""
        return await self._run(self._core.fork(session_id, new_session_id))

    async def export(self, session_id: str) -> bytes:
        """A session's state, to keep or to move."""
        return await self._run(self._core.export(session_id))

    async def import_(self, session_id: str, exported: bytes, *, overwrite: bool = False) -> SessionInfo:
        """Open a session from exported bytes."""
        return await self._run(self._core.import_(session_id, exported, overwrite))

    async def delete(self, session_id: str) -> SessionInfo | None:
        """End a session: the server forgets its state."""
        return await self._run(self._core.delete(session_id))

    async def watch(self, prefix: str = "") -> "AsyncWatch[SessionEvent]":
        """What happens to sessions whose id begins with `prefix`, beside their rows, from now on."""
        return AsyncWatch(await self._run(self._core.watch(prefix)), events_from)

    async def watch_rows(
        self, session_id: str, max_rows_per_s: int = 50
    ) -> "AsyncWatch[WatchedRow | WatchedEvent]":
        """Each row that a session takes from now on, by whatever call, and what happens to it beside."""
        return AsyncWatch(await self._run(self._core.watch_rows(session_id, max_rows_per_s)), RowReader())

    async def _run(self, steps: Flow[T]) -> T:
        return await run(steps, self._perform)


class AsyncWatch(Generic[W]):
    """`Watch` for `async for`."""

    def __init__(self, call: Any, read: Callable[[Any], list[W]]) -> None:
        self._call, self._read = call, read
        # Read, and not yet given.
        self._read_ahead: deque[W] = deque()
        self._is_closed = False

    def close(self) -> None:
        """Be told no more."""
        self._is_closed = True
        self._call.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> W:
        if self._read_ahead and not self._is_closed:
            return self._read_ahead.popleft()
        try:
            response = await remote(self._call.read())
        except grpc.aio.AioRpcError as error:
            raise status.from_rpc_error(error) from error
        except Unacknowledged:
            if self._is_closed:
                raise StopAsyncIteration from None
            raise
        if not isinstance(response, Message):
            raise StopAsyncIteration
        self._read_ahead.extend(self._read(response))
        return self._read_ahead.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


async def opened(call: Any) -> Any:
    """A stream of answers that the server has begun.

    Raises:
        StatecastError: it refused.
    """
    try:
        # Comes when the server has begun, or when the call is over.
        await remote(call.initial_metadata())
        if call.done():
            # Raises what the call ended in.
            await remote(call.read())
    except grpc.aio.AioRpcError as error:
        raise status.from_rpc_error(error) from error
    return call
