"""The sessions of a model, for those who look after them."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, Self, TypeVar

import grpc

from statecast import status
from statecast.flow import Flow, Step, T
from statecast.session_info import SessionEvent, SessionInfo, events_from
from statecast.sessions_flow import MAX_PAGE_SIZE, SessionsFlow
from statecast.sync_stream import run
from statecast.watched_row import RowReader, WatchedEvent, WatchedRow

W = TypeVar("W")


class Sessions:
    """The sessions of one model: to list, copy, move and end them. Safe to share between threads.

    Every method raises StatecastError with what the server said. Calls are sent again by themselves as
    `Client` says.
    """

    def __init__(self, core: SessionsFlow, perform: Callable[[Step], Any]) -> None:
        self._core, self._perform = core, perform

    def get(self, session_id: str) -> SessionInfo:
        """A session as it stands.

        Raises:
            NotFound: there is none of that id.
        """
        return self._run(self._core.get(session_id))

    def list(self, prefix: str = "", page_size: int = MAX_PAGE_SIZE) -> Iterator[SessionInfo]:
        """Sessions whose id begins with `prefix`, in the store's order, asked for a page at a time.

        One that is there throughout comes once; one that is opened or ended meanwhile may come or not.
        """
        token = ""
        while True:
            page = self._run(self._core.page(prefix, page_size, token))
            yield from page.sessions
            token = page.next_token
            if not token:
                return

    def reset(self, session_id: str) -> SessionInfo:
        """Put a session back to its beginning: the initial state, position 0.

        Raises:
            NotFound: there is none of that id.
        """
        return self._run(self._core.reset(session_id))

    def fork(self, session_id: str, new_session_id: str) -> SessionInfo:
        """Copy a session as it stands, to ask "what if" of the copy; the original is not touched.

        Raises:
            NotFound: there is none of that id.
            AlreadyExists: the other id is taken; where the connection broke, perhaps by this very call.
        """
        return self._run(self._core.fork(session_id, new_session_id))

    def export(self, session_id: str) -> bytes:
        """A session's state, to keep or to move. The session goes on; delete it where it moves.

        Raises:
            NotFound: there is none of that id.
        """
        return self._run(self._core.export(session_id))

    def import_(self, session_id: str, exported: bytes, *, overwrite: bool = False) -> SessionInfo:
        """Open a session from exported bytes, at the position where it was exported.

        Args:
            session_id: the id it gets, which need not be the one it had.
            overwrite: replace a session that has the id.

        Raises:
            AlreadyExists: the id is taken; where the connection broke, perhaps by this very call.
            DataLoss: the bytes are not as they were exported.
            SessionMismatch: they are of a model file that is not served.
        """
        return self._run(self._core.import_(session_id, exported, overwrite))

    def delete(self, session_id: str) -> SessionInfo | None:
        """End a session: the server forgets its state.

        Returns:
            The session as it stood; None where an attempt of this call that was not answered had ended it.

        Raises:
            NotFound: there is none of that id.
        """
        return self._run(self._core.delete(session_id))

    def watch(self, prefix: str = "") -> "Watch[SessionEvent]":
        """What happens to sessions whose id begins with `prefix`, beside their rows, from now on."""
        return Watch(self._run(self._core.watch(prefix)), events_from)

    def watch_rows(self, session_id: str, max_rows_per_s: int = 50) -> "Watch[WatchedRow | WatchedEvent]":
        """Each row that a session takes from now on, by whatever call, and what happens to it beside.

        Args:
            session_id: it need not be there yet: its first row is told too.
            max_rows_per_s: to be told on average, 50 at most; of a faster series rows are left out and
                counted.

        Raises:
            ValueError: the id or the pace is none.
            Overloaded: too many sessions are watched.
        """
        return Watch(self._run(self._core.watch_rows(session_id, max_rows_per_s)), RowReader())

    def _run(self, steps: Flow[T]) -> T:
        return run(steps, self._perform)


class Watch(Generic[W]):
    """Events, or rows, in order, from the moment it was opened. Iterate over it; close it from any thread.

    Iteration ends when it is closed. It raises Unavailable when the server goes away: what happens until a
    new watch is open is told to nobody, so look at the sessions then.
    """

    def __init__(self, call: Any, read: Callable[[Any], list[W]]) -> None:
        self._call, self._read = call, read
        # Read, and not yet given.
        self._read_ahead: deque[W] = deque()
        self._is_closed = False

    def close(self) -> None:
        """Be told no more."""
        self._is_closed = True
        self._call.cancel()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> W:
        if self._read_ahead and not self._is_closed:
            return self._read_ahead.popleft()
        try:
            self._read_ahead.extend(self._read(next(self._call)))
            return self._read_ahead.popleft()
        except grpc.RpcError as error:
            if self._is_closed:
                raise StopIteration from None
            raise status.from_rpc_error(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def opened(call: Any) -> Any:
    """A stream of answers that the server has begun.

    Raises:
        StatecastError: it refused.
    """
    # Comes when the server has begun, or when the call is over.
    call.initial_metadata()
    if not call.is_active():
        raise status.from_rpc_error(call)
    return call
