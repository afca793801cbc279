"""Protobuf's wire format, as far as the messages that come by the thousand need it by hand.

Field numbers are those of `forecast.proto`; a test holds every message built here against protobuf.
"""

VARINT, BYTES = 0, 2


def varint(number: int) -> bytes:
    """A number from 0 on, base 128, least group first."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """A varint field; nothing for 0, which is what a missing one means."""
    return varint(field << 3 | VARINT) + varint(value) if value else b""


def head(field: int, size: int) -> bytes:
    """What stands before the `size` bytes of a bytes field or message."""
    return varint(field << 3 | BYTES) + varint(size)
