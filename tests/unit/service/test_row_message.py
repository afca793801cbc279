"""Which messages teach a stream a shape, and which are of one."""

import math

import pytest

from service.engine.runner import Reply
from service.rpc import wire
from service.rpc.row_message import RowShapes
from service.sessions.frame import FIRST_TIME_US, LAST_TIME_US, NO_POSITION
from service.store.contract import NO_TIME
from statecast.v1 import forecast_pb2 as pb
from tests.frames import frame, opening


def taught(*requests):
    """Shapes that were taught requests."""
    shapes = RowShapes()
    for request in requests:
        shapes.learn(request.SerializeToString(), request)
    return shapes


def is_read(shapes, request):
    return shapes.read(request.SerializeToString()) is not None


def test_every_number_of_a_message_is_read():
    """Id, handle, position, time and values are the message's, reply and horizon its shape's."""
    first = frame([1], [0.0, 0.0], positions=[0], times_us=[0], number=300, reply=pb.REPLY_NONE, horizon=5)
    second = frame(
        [2**32 - 1], [1.5, -2.5], positions=[2**62], times_us=[-7], number=200, reply=pb.REPLY_NONE, horizon=5
    )
    shape, row = taught(first).read(second.SerializeToString())
    assert row == (wire.varint(200), 2**32 - 1, 2**62, -7, (1.5, -2.5))
    assert (shape.num_features, shape.reply, shape.horizon) == (2, Reply.NONE, 5)


def test_what_a_message_leaves_out_is_none():
    """Without id, position and time a row has neither, and a forecast is what it wants."""
    request = frame([3], [1.5], number=0)
    shape, row = taught(request).read(request.SerializeToString())
    assert row == (b"", 3, NO_POSITION, NO_TIME, (1.5,))
    assert (shape.reply, shape.horizon) == (Reply.LAST, 0)


@pytest.mark.parametrize(
    "other",
    [
        frame([1], [1.0], number=128),
        frame([1], [1.0], number=0),
        frame([1], [1.0, 2.0]),
        frame([1], [1.0], positions=[0]),
        frame([1], [1.0], reply=pb.REPLY_NONE),
        frame([1], [1.0], horizon=1),
        frame([1, 2], [1.0, 2.0]),
    ],
)
def test_a_message_of_another_shape_goes_the_long_way_until_it_is_learned(other):
    """Each difference but that of the numbers makes another shape; a stream may have several."""
    shapes = taught(frame([1], [1.0]))
    assert not is_read(shapes, other)
    shapes.learn(other.SerializeToString(), other)
    assert is_read(shapes, other) is (len(other.frame.handles) == 4)
    assert is_read(shapes, frame([9], [9.0]))


def test_fields_of_one_size_are_not_mixed_up():
    """A position and a time take as many bytes: a message that has the one is not read as the other."""
    timed, placed = frame([1], [1.0], times_us=[5]), frame([1], [1.0], positions=[5])
    assert len(timed.SerializeToString()) == len(placed.SerializeToString())
    assert not is_read(taught(timed), placed)
    both = taught(timed, placed)
    _, row = both.read(timed.SerializeToString())
    assert (row.position, row.time_us) == (NO_POSITION, 5)
    _, row = both.read(placed.SerializeToString())
    assert (row.position, row.time_us) == (5, NO_TIME)


@pytest.mark.parametrize(
    "number",
    [
        {"values": [math.nan]},
        {"values": [math.inf]},
        {"positions": [-2]},
        {"positions": [-(2**63)]},
        {"times_us": [FIRST_TIME_US - 1]},
        {"times_us": [LAST_TIME_US + 1]},
        {"times_us": [NO_TIME]},
    ],
)
def test_numbers_that_need_a_check_go_the_long_way(number):
    """What might be refused, or be refused for some models, is told by those who tell it to everybody."""
    good = {"values": [1.0], "positions": [0], "times_us": [0]}
    shapes = taught(frame([1], **good))
    assert is_read(shapes, frame([1], **good))
    assert not is_read(shapes, frame([1], **(good | number)))
    assert not is_read(taught(frame([1], **(good | number))), frame([1], **(good | number)))


@pytest.mark.parametrize("time_us", [FIRST_TIME_US, LAST_TIME_US])
def test_times_at_the_ends_of_the_calendar_are_read(time_us):
    """The first and the last microsecond are within it."""
    assert is_read(taught(frame([1], [1.0], times_us=[0])), frame([1], [1.0], times_us=[time_us]))


@pytest.mark.parametrize(
    "request_",
    [
        pb.StreamForecastsRequest(sessions=opening("m", "a").sessions, frame=frame([0], [1.0]).frame),
        opening("m", "a"),
        frame([0], [1.0], lengths=[1]),
        frame([0], [], number=1),
        frame([], [1.0]),
        frame([0], [1.0], reply=9),
        frame([0], [1.0], positions=[0, 0]),
        frame([0], [1.0], times_us=[0, 0]),
        pb.StreamForecastsRequest(frame=pb.Frame(handles=b"\0\0\0\0", values=b"\0" * 7)),
        pb.StreamForecastsRequest(frame=pb.Frame(handles=b"\0\0\0\0", positions=b"\0" * 7, values=b"\0" * 8)),
    ],
)
def test_what_is_no_plain_row_is_not_learned(request_):
    """Names, lengths, several entries, and columns that disagree keep going the long way."""
    assert not is_read(taught(request_), request_)


def test_a_known_message_with_an_unknown_field_is_another_message():
    """It is not learned, and does not pass for the shape that it has besides."""
    plain = frame([1], [1.0]).SerializeToString()
    odd = plain + wire.number(100, 1)
    shapes = RowShapes()
    shapes.learn(odd, pb.StreamForecastsRequest.FromString(odd))
    assert shapes.read(plain) is None
    shapes.learn(plain, pb.StreamForecastsRequest.FromString(plain))
    assert shapes.read(plain) is not None
    assert shapes.read(odd) is None


def test_a_few_shapes_of_one_size_are_kept():
    """A stream that changes what it asks for again and again keeps the latest shapes, not all of them."""
    requests = [frame([1], [1.0], horizon=horizon) for horizon in range(1, 100)]
    shapes = taught(*requests)
    kept = [request.frame.horizon for request in requests if is_read(shapes, request)]
    assert kept == [96, 97, 98, 99]
