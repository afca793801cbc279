"""A lean gRPC client over one plain socket.

The Python client of grpcio costs more per message than a server does, and would measure itself. This
one sends prepared bytes and looks only at the lengths of what comes: a microsecond or two a message.
It is no general client: no TLS, no compression, response headers are not decoded.
"""

import socket
import struct
from collections import deque

from statecast.routing import SESSION_HEADER

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_SET_INITIAL_WINDOW, _SET_MAX_FRAME = 4, 5
_HEAD = struct.Struct(">HBBBL")  # 24 bits of length, kind, flags, stream
_DATA_HEAD = struct.Struct(">HBBBLBL")  # the same, then gRPC's: compressed, length
_LARGEST_WINDOW = 2**31 - 1
_LARGEST_FRAME = 2**24 - 1
_READ_BYTES = 1 << 20
# How much may have come on a stream or connection before its window is opened again.
_REOPEN_BYTES = 1 << 29

# A whole message, or None: the call is over.
Event = tuple[int, bytes | None]


class CallRefused(RuntimeError):
    """A call or a connection ended by the server; the text holds what it sent, undecoded."""


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return _HEAD.pack(len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload


def _window_update(stream: int, num_bytes: int) -> bytes:
    return _frame(_WINDOW_UPDATE, 0, stream, num_bytes.to_bytes(4, "big"))


class Connection:
    """Calls of one method on one connection.

    `open` and `send` only queue; `flush` writes. Messages that the server's flow control has no room
    for wait, in order, until it has.
    """

    def __init__(self, address: str, path: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=30.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        settings = struct.pack(">HLHL", _SET_INITIAL_WINDOW, _LARGEST_WINDOW, _SET_MAX_FRAME, _LARGEST_FRAME)
        self._out: list[bytes | memoryview] = [
            _PREFACE,
            _frame(_SETTINGS, 0, 0, settings),
            _window_update(0, _LARGEST_WINDOW - 65_535),
        ]
        self._first_headers, self._headers = _header_blocks(path, address)
        self._next_stream = 1
        # What the server takes: of the connection, of a new stream, and of each open one.
        self._window, self._initial_window, self._max_frame = 65_535, 65_535, 16_384
        self._windows: dict[int, int] = {}
        self._waiting: deque[tuple[int, memoryview, bool]] = deque()
        # What has come: bytes of an incomplete frame, of incomplete messages, and since windows were opened.
        self._rest = b""
        self._partial: dict[int, bytearray] = {}
        self._received: dict[int, int] = {0: 0}
        self.trailers = b""

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket; open calls end with it."""
        self._socket.close()

    def open(self, session: str = "") -> int:
        """Begin a call, with the header that proxies route by if it is for a session; returns its stream."""
        stream = self._next_stream
        self._next_stream += 2
        # The first request puts its headers into the table that later ones point to.
        headers = self._headers if stream > 1 else self._first_headers
        if session:
            headers += b"\x00" + _text(SESSION_HEADER) + _text(session)
        self._out.append(_frame(_HEADERS, _END_HEADERS, stream, headers))
        self._windows[stream] = self._initial_window
        self._received[stream] = 0
        return stream

    def send(self, stream: int, message: bytes, *, last: bool = False) -> None:
        """Queue a message; `last` ends the sender's side of the call."""
        size = len(message) + 5
        if self._waiting or size > min(self._window, self._windows[stream], self._max_frame):
            content = b"\0" + len(message).to_bytes(4, "big") + message
            self._waiting.append((stream, memoryview(content), last))
            self._send_waiting()
            return
        self._window -= size
        self._windows[stream] -= size
        head = _DATA_HEAD.pack(size >> 8, size & 255, _DATA, _END_STREAM * last, stream, 0, size - 5)
        self._out += (head, message)

    def flush(self) -> None:
        """Write what is queued and allowed."""
        if self._out:
            self._socket.sendall(b"".join(self._out))
            self._out.clear()

    def receive(self) -> list[Event]:
        """Read once, blocking where nothing has come; returns messages and ends, in order.

        Raises:
            CallRefused: the server closed the connection.
        """
        come = self._socket.recv(_READ_BYTES)
        if not come:
            raise CallRefused(f"the server closed the connection; it last sent {self.trailers!r}")
        content = self._rest + come if self._rest else come
        events: list[Event] = []
        at, end = 0, len(content)
        while end - at >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(content, at)
            start = at + 9
            stop = start + (high << 8) + low
            if stop > end:
                break
            if kind == _DATA:
                self._take_data(stream, content, start, stop, events)
            else:
                self._take_control(kind, flags, stream, content[start:stop], events)
            if flags & _END_STREAM and kind in (_DATA, _HEADERS):
                self._end(stream, events)
            at = stop
        self._rest = content[at:]
        return events

    def _take_data(self, stream: int, content: bytes, start: int, stop: int, events: list[Event]) -> None:
        self._count(stream, stop - start)
        partial = self._partial.get(stream)
        if partial is None and stop - start == 5 + int.from_bytes(content[start + 1 : start + 5], "big"):
            events.append((stream, content[start + 5 : stop]))
            return
        partial = partial or bytearray()
        partial += content[start:stop]
        while len(partial) >= 5 and len(partial) >= (size := 5 + int.from_bytes(partial[1:5], "big")):
            events.append((stream, bytes(partial[5:size])))
            del partial[:size]
        if partial:
            self._partial[stream] = partial
        else:
            self._partial.pop(stream, None)

    def _count(self, stream: int, num_bytes: int) -> None:
        for each in (0, stream):
            self._received[each] += num_bytes
            if self._received[each] >= _REOPEN_BYTES:
                self._out.append(_window_update(each, self._received[each]))
                self._received[each] = 0

    def _take_control(self, kind: int, flags: int, stream: int, payload: bytes, events: list[Event]) -> None:
        if kind == _WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if stream == 0:
                self._window += more
            elif stream in self._windows:
                self._windows[stream] += more
            self._send_waiting()
        elif kind == _PING and not flags & _ACK:
            self._out.append(_frame(_PING, _ACK, 0, payload))
        elif kind == _SETTINGS and not flags & _ACK:
            self._apply_settings(payload)
        elif kind == _HEADERS:
            self.trailers = payload
        elif kind == _RST_STREAM:
            self._end(stream, events)
        elif kind == _GOAWAY:
            self.trailers = payload

    def _apply_settings(self, payload: bytes) -> None:
        for name, value in struct.iter_unpack(">HL", payload):
            if name == _SET_INITIAL_WINDOW:
                for stream in self._windows:
                    self._windows[stream] += value - self._initial_window
                self._initial_window = value
            elif name == _SET_MAX_FRAME:
                self._max_frame = value
        self._out.append(_frame(_SETTINGS, _ACK, 0, b""))
        self._send_waiting()

    def _end(self, stream: int, events: list[Event]) -> None:
        self._windows.pop(stream, None)
        self._received.pop(stream, None)
        self._partial.pop(stream, None)
        events.append((stream, None))

    def _send_waiting(self) -> None:
        while self._waiting:
            stream, content, last = self._waiting.popleft()
            if stream not in self._windows:
                continue
            size = min(len(content), self._window, self._windows[stream], self._max_frame)
            if size <= 0:
                self._waiting.appendleft((stream, content, last))
                return
            self._window -= size
            self._windows[stream] -= size
            whole = size == len(content)
            head = _HEAD.pack(size >> 8, size & 255, _DATA, _END_STREAM * (last and whole), stream)
            self._out += (head, content[:size])
            if not whole:
                self._waiting.appendleft((stream, content[size:], last))


def _header_blocks(path: str, address: str) -> tuple[bytes, bytes]:
    """HPACK (RFC 7541): the first request's headers, which are remembered, and pointers to them."""
    headers = [
        (":path", path),
        (":authority", address),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    static = b"\x83\x86"  # :method POST, :scheme http
    literal = b"".join(b"\x40" + _text(name) + _text(value) for name, value in headers)
    # The table's newest entry is number 62.
    return static + literal, static + bytes(0x80 | 62 + index for index in reversed(range(len(headers))))


def _text(value: str) -> bytes:
    assert len(value) < 127, value
    return bytes([len(value)]) + value.encode()
