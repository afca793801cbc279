"""Messages that are read and written by hand, held against protobuf."""

import dataclasses
import struct

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.rpc import frames, wire
from service.rpc.frame_response import PlainResponses
from service.rpc.row_message import RowShapes
from service.rpc.validation import REPLIES
from service.sessions.frame import FIRST_TIME_US, LAST_TIME_US, NO_POSITION
from service.store.contract import NO_TIME
from statecast.v1 import forecast_pb2 as pb
from tests.frames import frame
from tests.sum_service import manifest

UINT64 = st.integers(0, 2**64 - 1) | st.builds(lambda bits: 2**bits - 1, st.integers(0, 64))
POSITIONS = st.integers(-1, 2**63 - 1) | st.integers(-1, 300)
TIMES = st.integers(FIRST_TIME_US, LAST_TIME_US)
VALUES = st.floats(allow_nan=False, allow_infinity=False)
PLAIN_REPLIES = st.sampled_from([pb.REPLY_UNSPECIFIED, pb.REPLY_NONE, pb.REPLY_LAST, pb.REPLY_EACH])


@dataclasses.dataclass(frozen=True)
class Kind:
    """What messages of one shape have in common: of the id, how many bits it has."""

    id_bits: int
    has_position: bool
    has_time: bool
    num_features: int
    reply: int
    horizon: int


KINDS = st.builds(
    Kind,
    id_bits=st.integers(0, 64),
    has_position=st.booleans(),
    has_time=st.booleans(),
    num_features=st.integers(1, 6),
    reply=PLAIN_REPLIES,
    horizon=st.integers(0, 300) | st.integers(0, 2**32 - 1),
)


@st.composite
def rows(draw, kind):
    """A request of a kind: as many bits in its id, other numbers."""
    return frame(
        [draw(st.integers(0, 2**32 - 1))],
        draw(st.lists(VALUES, min_size=kind.num_features, max_size=kind.num_features)),
        positions=[draw(POSITIONS)] if kind.has_position else None,
        times_us=[draw(TIMES)] if kind.has_time else None,
        number=draw(st.integers(2**kind.id_bits // 2, 2**kind.id_bits - 1)),
        reply=kind.reply,
        horizon=kind.horizon,
    )


ROWS = KINDS.flatmap(rows)


def parsed(content):
    """What protobuf makes of bytes; None for nothing."""
    try:
        return pb.StreamForecastsRequest.FromString(content)
    except DecodeError:
        return None


def learned(*contents):
    """Shapes that were taught messages, as a stream does it."""
    shapes = RowShapes()
    for content in contents:
        request = parsed(content)
        if request is not None and request.HasField("frame"):
            shapes.learn(content, request)
    return shapes


def by_hand(shapes, content):
    """What was read of a message, as plain numbers; None where it goes the long way."""
    known = shapes.read(content)
    if known is None:
        return None
    shape, row = known
    values = tuple(row.values)
    assert len(values) == shape.num_features
    # An id is never read, only sent back.
    answer = PlainResponses(manifest()).write(row.frame_id, bytes(8), None, 1, 1, 1)
    number = pb.StreamForecastsResponse.FromString(answer).frame_id
    return number, row.handle, row.position, row.time_us, values, shape.reply, shape.horizon


def by_protobuf(content):
    """The same of a frame of one row; None where it is another message, or not one to apply as it is."""
    request = parsed(content)
    if request is None:
        return None
    sent = request.frame
    if request.sessions or not request.HasField("frame") or len(sent.handles) != 4 or sent.lengths:
        return None
    if len(sent.positions) not in (0, 8) or len(sent.times_us) not in (0, 8) or len(sent.values) % 8:
        return None
    values = struct.unpack(f"<{len(sent.values) // 8}d", sent.values)
    (handle,) = struct.unpack("<I", sent.handles)
    (position,) = struct.unpack("<q", sent.positions) if sent.positions else (NO_POSITION,)
    (time_us,) = struct.unpack("<q", sent.times_us) if sent.times_us else (NO_TIME,)
    if position < NO_POSITION or not np.isfinite(values).all() or sent.reply not in REPLIES:
        return None
    if sent.times_us and not FIRST_TIME_US <= time_us <= LAST_TIME_US:
        return None
    reply = REPLIES[sent.reply].for_one_row
    return sent.id, handle, position, time_us, values, reply, sent.horizon


def assert_same_or_long_way(shapes, content):
    """Nothing is read by hand that protobuf reads otherwise."""
    found = by_hand(shapes, content)
    if found is not None:
        assert found == by_protobuf(content)


@given(st.data(), KINDS)
def test_a_message_of_a_learned_shape_is_read_as_protobuf_reads_it(data, kind):
    """One message teaches its shape; each other one gives protobuf's numbers, never the long way."""
    first, second = data.draw(rows(kind)), data.draw(rows(kind))
    shapes = learned(first.SerializeToString())
    for request in (first, second):
        content = request.SerializeToString()
        expected = by_protobuf(content)
        assert expected is not None
        assert by_hand(shapes, content) == expected


@given(ROWS, st.data())
def test_flipped_bits_are_read_as_protobuf_reads_them_or_not_at_all(request, data):
    """Whatever a message of a learned size turns into, its numbers are protobuf's or go the long way."""
    content = bytearray(request.SerializeToString())
    shapes = learned(bytes(content))
    bits = st.integers(0, 8 * len(content) - 1)
    for bit in data.draw(st.lists(bits, min_size=1, max_size=4), label="bits"):
        content[bit // 8] ^= 1 << bit % 8
    assert_same_or_long_way(shapes, bytes(content))


@given(ROWS)
def test_every_flipped_bit_of_what_is_no_number_is_noticed(request):
    """One bit that is no number's makes it another message: each goes the long way, or protobuf agrees."""
    whole = request.SerializeToString()
    shapes = learned(whole)
    for bit in range(8 * (len(whole) - len(request.frame.values))):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        assert_same_or_long_way(shapes, bytes(content))


@given(st.lists(ROWS, min_size=1, max_size=8), ROWS)
def test_messages_of_many_shapes_do_not_pass_for_each_other(taught, request):
    """A stream that has had many shapes reads each message as protobuf does."""
    shapes = learned(*(each.SerializeToString() for each in taught))
    for each in [*taught, request]:
        assert_same_or_long_way(shapes, each.SerializeToString())


def padded(number, num_more):
    """A varint in more bytes than it needs, as the format allows."""
    content = wire.varint(number)
    if not num_more:
        return content
    return content[:-1] + bytes([content[-1] | 128]) + b"\x80" * (num_more - 1) + b"\0"


@st.composite
def odd_fields(draw, request):
    """The fields of a row's frame as bytes: in any order, some twice, some unknown, varints with padding."""
    sent, padding = request.frame, st.sampled_from([0, 0, 0, 1, 3])
    fields = []
    for descriptor, value in sent.ListFields():
        is_bytes = isinstance(value, bytes)
        tag = descriptor.number << 3 | (2 if is_bytes else 0)
        size = padded(len(value) if is_bytes else value, draw(padding))
        fields.append(padded(tag, draw(padding)) + size + (value if is_bytes else b""))
    if draw(st.booleans()):
        fields = draw(st.permutations(fields))
    if draw(st.booleans()):
        fields.insert(draw(st.integers(0, len(fields))), draw(st.sampled_from(fields)))
    if draw(st.booleans()):
        unknown = draw(st.sampled_from([wire.number(100, 7), wire.head(101, 3) + b"abc", b"\xa5\x06abcd"]))
        fields.insert(draw(st.integers(0, len(fields))), unknown)
    inner = b"".join(fields)
    around = draw(st.sampled_from([b"", b"", wire.number(9, 1)]))
    return padded(2 << 3 | 2, draw(padding)) + padded(len(inner), draw(padding)) + inner + around


@given(ROWS, st.data())
def test_messages_of_another_make_are_read_as_protobuf_reads_them_or_not_at_all(request, data):
    """Other orders, repeated and unknown fields and padded varints neither teach nor pass for a shape."""
    odd = data.draw(odd_fields(request))
    plain = request.SerializeToString()
    for shapes in (learned(odd), learned(plain), learned(odd, plain)):
        assert_same_or_long_way(shapes, odd)
        assert_same_or_long_way(shapes, plain)
    flipped = bytearray(odd)
    bit = data.draw(st.integers(0, 8 * len(odd) - 1))
    flipped[bit // 8] ^= 1 << bit % 8
    assert_same_or_long_way(learned(odd), bytes(flipped))


@given(st.binary(max_size=80), ROWS)
def test_bytes_of_any_kind_are_read_as_protobuf_reads_them_or_not_at_all(content, request):
    """Nothing is read of bytes that protobuf refuses."""
    assert_same_or_long_way(learned(request.SerializeToString()), content)


@given(st.lists(UINT64, min_size=1, max_size=4))
def test_varints_are_protobufs(numbers):
    """A number from 0 to 2^64 - 1 is written in the bytes that protobuf writes."""
    for number in numbers:
        written = wire.number(1, number)
        assert written == pb.Frame(id=number).SerializeToString()


@given(
    frame_id=UINT64,
    num_entries=st.integers(1, 300),
    horizon=st.integers(1, 200),
    levels=st.integers(1, 12),
    version=st.integers(0, 2**64 - 1),
    has_forecasts=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_plain_response_is_what_protobuf_writes(
    frame_id, num_entries, horizon, levels, version, has_forecasts, seed
):
    """Byte for byte: ids, positions and forecasts of any number, with and without forecasts."""
    random = np.random.default_rng(seed)
    positions = random.integers(-(2**63), 2**63, num_entries)
    forecasts = random.standard_normal((num_entries, horizon, levels)).astype(np.float32)
    expected = pb.StreamForecastsResponse(
        frame_id=frame_id,
        positions=positions.tobytes(),
        num_forecasts=b"" if has_forecasts else bytes(4 * num_entries),
        forecasts=forecasts.tobytes() if has_forecasts else b"",
        horizon=horizon,
        num_quantile_levels=levels,
        model_version=version,
    )
    served = manifest(quantile_levels=tuple((np.arange(levels) + 1) / (levels + 1)))
    own_id = wire.varint(frame_id) if frame_id else b""
    written = PlainResponses(served).write(
        own_id, positions.data, forecasts.data if has_forecasts else None, num_entries, horizon, version
    )
    assert pb.StreamForecastsResponse.FromString(written) == expected
    assert written == expected.SerializeToString()


@pytest.mark.parametrize("frame_id", [0, 1, 127, 128, 2**32, 2**64 - 1])
def test_a_refused_frame_keeps_its_id(frame_id):
    """The id before the refusal makes one message of both."""
    response = pb.StreamForecastsResponse.FromString(frames.refuse(frame_id, InvalidRequest("a", 1, "2")))
    assert response.frame_id == frame_id
    assert response.frame_error.field == "a"
