"""A TCP proxy between a client and a server, whose connections a test can stall and cut."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

_CHUNK = 65_536


class CuttableProxy:
    """Forwards bytes both ways. Replies can be held back; connections can be cut, also within a reply."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.num_cut = 0
        self._replies_flow = threading.Event()
        self._replies_flow.set()
        self._last_words: bytes | None = None
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.cut()

    def hold_replies(self) -> None:
        """From now on nothing reaches the client; its own bytes still reach the server."""
        self._replies_flow.clear()

    def cut_after(self, words: bytes) -> None:
        """From now on cut the connection of a reply just behind these bytes, where one packet holds them."""
        self._last_words = words

    def cut(self) -> None:
        """Reset every connection; what was held back is lost. New connections work at once."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for side in pair:
                with contextlib.suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
        self.num_cut += len(pairs)
        self._replies_flow.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                with self._lock:
                    self._pairs.append((client, server))
                for source, sink, is_reply in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pump, args=(source, sink, is_reply), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if is_reply and not self._replies_flow.is_set():
                    # Held back until the cut, and then lost.
                    self._replies_flow.wait()
                    break
                words = self._last_words
                if is_reply and words is not None and words in data:
                    sink.sendall(data[: data.index(words) + len(words)])
                    break
                sink.sendall(data)
        for side in (source, sink):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
