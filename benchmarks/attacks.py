"""What callers send who mean harm, or are broken; `python -m benchmarks.attacks ADDRESS KIND` sends it.

It says `ready` when it has begun, and goes on until its standard input ends.
"""

import contextlib
import itertools
import random
import resource
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, HEADERS, DATA, PING, CONTINUATION = 4, 1, 0, 6, 9


def http2(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    """A frame of HTTP/2."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header as HPACK writes it without any table."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


CALL = b"".join(
    literal(name, value)
    for name, value in (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/statecast.v1.ForecastService/Forecast"),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
)
HELLO = PREFACE + http2(SETTINGS)
NOISE = random.Random(7).randbytes(4096)
# What is sent on a connection of its own.
ATTACKS = {
    "nothing": b"",
    "half a preface": PREFACE[:10],
    "HTTP/1": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS to a port in clear text": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + NOISE[:500],
    "noise": NOISE,
    "a preface, then noise": HELLO + NOISE,
    "a frame longer than may be": HELLO + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    "a frame of no stream": HELLO + http2(DATA, b"x", stream=99),
    "headers that do not end": HELLO
    + http2(HEADERS, CALL, stream=1)
    + http2(CONTINUATION, CALL, stream=1) * 500,
    "headers that are none": HELLO + http2(HEADERS, NOISE[:200], flags=4, stream=1),
    "a table of no size": HELLO + http2(HEADERS, b"\x3f\xff\xff\xff\xff\x0f", flags=4, stream=1),
    "pings": HELLO + http2(PING, bytes(8)) * 20_000,
    "settings": HELLO + http2(SETTINGS, struct.pack(">HI", 4, 1)) * 20_000,
    # gRPC sheds load beyond a thousand calls that wait, anybody's: it answers those with CANCELLED.
    "calls that are taken back at once": HELLO
    + b"".join(
        http2(HEADERS, CALL, flags=4, stream=number) + http2(3, b"\0\0\0\x08", stream=number)
        for number in range(1, 21, 2)
    ),
    "a message that does not come": HELLO
    + http2(HEADERS, CALL, flags=4, stream=1)
    + http2(DATA, b"\0\x03\xff\xff\xff", stream=1),
    "a message too large": HELLO
    + http2(HEADERS, CALL, flags=4, stream=1)
    + http2(DATA, b"\0\x7f\xff\xff\xff" + bytes(1000), stream=1),
    "a message that is none": HELLO
    + http2(HEADERS, CALL, flags=4, stream=1)
    + http2(DATA, struct.pack(">BI", 0, len(NOISE)) + NOISE, flags=1, stream=1),
    "a compressed message that is none": HELLO
    + http2(HEADERS, CALL, flags=4, stream=1)
    + http2(DATA, struct.pack(">BI", 1, 100) + NOISE[:100], flags=1, stream=1),
}


# Connections that are held, and how often each kind of attack acts.
NUM_IDLE, NUM_SLOW, MALFORMED_PER_S = 10_000, 500, 100
_HEADROOM = 200


def _connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def idle(address: str, num: int) -> Iterator[None]:
    """Connections that say hello, are greeted, and then say no more."""
    held = []
    for _ in range(num):
        connection = _connect(address)
        connection.sendall(HELLO)
        held.append(connection)
    # Connecting is over before the server has taken note: until then they are not idle.
    for connection in held:
        connection.recv(1)
    while True:
        yield


def slow(address: str, num: int) -> Iterator[None]:
    """Calls whose message comes a byte at a time; those that are cut off begin anew."""
    begun = HELLO + http2(HEADERS, CALL, flags=4, stream=1) + http2(DATA, b"\0\0\x01\0\0", stream=1)
    held: list[socket.socket | None] = [None] * num
    for turn in itertools.count():
        at = turn % num
        try:
            connection = held[at]
            if connection is None:
                connection = held[at] = _connect(address)
                connection.sendall(begun)
            else:
                connection.sendall(http2(DATA, b"\0", stream=1))
        except OSError:
            held[at] = None
        if turn >= num:
            yield


def malformed(address: str, _num: int) -> Iterator[None]:
    """One broken connection after another."""
    for attack in itertools.cycle(ATTACKS.values()):
        with contextlib.suppress(OSError), _connect(address) as connection:
            connection.sendall(attack)
        yield


KINDS: dict[str, tuple[Callable[[str, int], Iterator[None]], int]] = {
    "idle": (idle, NUM_IDLE),
    "slow": (slow, NUM_SLOW),
    "malformed": (malformed, 0),
}


def main() -> None:
    """Attack until standard input ends."""
    address, kind = sys.argv[1:3]
    attack, num = KINDS[kind]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = hard if hard != resource.RLIM_INFINITY else num + _HEADROOM
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(min(num + _HEADROOM, room), soft), hard))
    num = min(num, room - _HEADROOM)
    acts = attack(address, num)
    next(acts)
    print(f"ready {num}", flush=True)
    waiting = selectors.DefaultSelector()
    waiting.register(sys.stdin, selectors.EVENT_READ)
    due_s = time.monotonic()
    while not waiting.select(max(due_s - time.monotonic(), 0)):
        next(acts)
        due_s = max(due_s + 1 / MALFORMED_PER_S, time.monotonic() - 1)


if __name__ == "__main__":
    main()
