"""Requests that are a frame of one row, which most messages of many streams are.

The messages of a client differ in their numbers alone. One that protobuf has parsed tells where they
lie, and the next of its shape is unpacked by one call.
"""

import math
import operator
import struct
from typing import NamedTuple

from service.rpc import validation, wire
from service.sessions.frame import FIRST_TIME_US, LAST_TIME_US, NO_POSITION
from service.store.contract import NO_TIME
from statecast.v1 import forecast_pb2 as pb

_REPLIES = {number: reply.for_one_row for number, reply in validation.REPLIES.items()}
# Shapes of one length that are kept; a client uses one or two.
_MAX_SHAPES = 4


class Row(NamedTuple):
    """The numbers of one message.

    Attributes:
        frame_id: a varint as it stands on the wire, empty for 0.
        position: or NO_POSITION.
        time_us: or NO_TIME.
        values: F finite numbers.
    """

    frame_id: bytes
    handle: int
    position: int
    time_us: int
    values: tuple[float, ...]


class RowShape:
    """Where the numbers lie in requests of one shape: a frame of one row, fields in order of number.

    Attributes:
        horizon: as asked for; 0 stands for all.
        reply: NONE or LAST.
    """

    def __init__(self, frame: pb.Frame) -> None:
        self.num_features = len(frame.values) // 8
        self.horizon = frame.horizon
        self.reply = _REPLIES[frame.reply]
        self._id_size = len(wire.varint(frame.id)) if frame.id else 0
        self._has_position, self._has_time = bool(frame.positions), bool(frame.times_us)
        constants = _constants(frame)
        codes = [f"{self._id_size}s", "I", "q" * self._has_position, "q" * self._has_time]
        codes = [code for code in codes if code] + [f"{self.num_features}d"]
        texts = [f"{len(constant)}s" for constant in constants]
        self._struct = struct.Struct("<" + "".join(map("".join, zip(texts, [*codes, ""], strict=True))))
        # Every second part is the same in each message of the shape; the last comes after all values.
        at = [*range(0, 2 * len(constants) - 2, 2), 2 * len(constants) - 3 + self.num_features]
        self._constants_of = operator.itemgetter(*at)
        self._constants = tuple(constants)
        self._values = slice(at[-2] + 1, at[-1])

    @property
    def size(self) -> int:
        """Bytes of each message."""
        return self._struct.size

    def read(self, content: bytes) -> Row | None:
        """The numbers of a message of `size` bytes; None where it is of another shape or no plain row."""
        parts = self._struct.unpack(content)
        if self._constants_of(parts) != self._constants:
            return None
        position, time_us = NO_POSITION, NO_TIME
        if self._has_position:
            position = parts[5]
            if position < NO_POSITION:
                return None
        if self._has_time:
            time_us = parts[7 if self._has_position else 5]
            if not FIRST_TIME_US <= time_us <= LAST_TIME_US:
                return None
        values = parts[self._values]
        if not (all(map(math.isfinite, values)) and _is_varint(parts[1])):
            return None
        return Row(parts[1], parts[3], position, time_us, values)


class RowShapes:
    """The shapes that one stream's messages have had."""

    def __init__(self) -> None:
        self._by_size: dict[int, list[RowShape]] = {}

    def read(self, content: bytes) -> tuple[RowShape, Row] | None:
        """A message's shape and numbers; None where it is of no shape that is known."""
        for shape in self._by_size.get(len(content), ()):
            row = shape.read(content)
            if row is not None:
                return shape, row
        return None

    def learn(self, content: bytes, request: pb.StreamForecastsRequest) -> None:
        """From a message and what protobuf read in it."""
        frame = request.frame
        is_row = len(frame.handles) == 4 and frame.values and not (frame.lengths or request.sessions)
        if not is_row or len(frame.values) % 8 or frame.reply not in _REPLIES:
            return
        if len(frame.positions) not in (0, 8) or len(frame.times_us) not in (0, 8):
            return
        shape = RowShape(frame)
        # Another order of fields, or one this server does not know, makes another message of it.
        if shape.size == len(content) and shape.read(content) is not None:
            shapes = self._by_size.setdefault(shape.size, [])
            shapes.insert(0, shape)
            del shapes[_MAX_SHAPES:]


def _is_varint(content: bytes) -> bool:
    return not content or (content[-1] < 128 and (len(content) == 1 or min(content[:-1]) > 127))


def _constants(frame: pb.Frame) -> list[bytes]:
    """The bytes before each number of a frame's request, and those after the last."""
    frame_id = wire.number(1, frame.id)
    between = [wire.head(2, 4)]
    if frame.positions:
        between.append(wire.head(4, 8))
    if frame.times_us:
        between.append(wire.head(5, 8))
    between.append(wire.head(6, len(frame.values)))
    last = wire.number(7, frame.reply) + wire.number(8, frame.horizon)
    numbers = len(frame.handles) + len(frame.positions) + len(frame.times_us) + len(frame.values)
    size = len(frame_id) + sum(map(len, between)) + numbers + len(last)
    return [wire.head(2, size) + frame_id[:1], *between, last]
