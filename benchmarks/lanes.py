"""Lanes that carry messages: concurrent streams, or slots for unary calls."""

import select
from collections.abc import Sequence

from benchmarks.http2 import CallRefused, Connection


class Lanes:
    """`num_lanes` of them, spread over connections. A lane's replies come in the order of its messages.

    A unary lane carries one call at a time. Proxies route its calls by its place in `sessions`, if given.
    """

    def __init__(
        self,
        address: str,
        path: str,
        num_lanes: int,
        *,
        unary: bool = False,
        num_connections: int = 1,
        sessions: Sequence[str] = (),
    ) -> None:
        self.num_lanes = num_lanes
        self.sent = [0] * num_lanes
        self._unary, self._sessions = unary, sessions or [""] * num_lanes
        self._connections = [Connection(address, path) for _ in range(min(num_connections, num_lanes))]
        self._lanes: dict[tuple[Connection, int], int] = {}
        self._streams: list[int] = []
        self._replies: dict[int, bytes] = {}
        if not unary:
            for lane in range(num_lanes):
                connection = self._connection(lane)
                self._streams.append(connection.open())
                self._lanes[connection, self._streams[lane]] = lane

    def __enter__(self) -> "Lanes":
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()

    def send(self, lane: int, message: bytes) -> None:
        """Queue a message of a lane."""
        connection = self._connection(lane)
        if self._unary:
            stream = connection.open(self._sessions[lane])
            self._lanes[connection, stream] = lane
            connection.send(stream, message, last=True)
        else:
            connection.send(self._streams[lane], message)

    def flush(self) -> None:
        """Write what is queued."""
        for connection in self._connections:
            connection.flush()

    def poll(self, timeout_s: float) -> list[tuple[int, bytes]]:
        """Replies (lane, bytes) that have come, waiting for the first.

        Raises:
            CallRefused: a stream ended, or a unary call failed.
        """
        found: list[tuple[int, bytes]] = []
        for connection in select.select(self._connections, [], [], max(0.0, timeout_s))[0]:
            for stream, message in connection.receive():
                lane = self._lanes[connection, stream]
                if not self._unary:
                    if message is None:
                        raise CallRefused(f"a stream ended: {connection.trailers!r}")
                    found.append((lane, message))
                elif message is not None:
                    self._replies[lane] = message
                else:
                    del self._lanes[connection, stream]
                    if lane not in self._replies:
                        raise CallRefused(f"a call failed: {connection.trailers!r}")
                    found.append((lane, self._replies.pop(lane)))
        return found

    def _connection(self, lane: int) -> Connection:
        return self._connections[lane % len(self._connections)]
