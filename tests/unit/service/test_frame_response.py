"""Responses written by hand say what those say that go through protobuf."""

import asyncio
import itertools
from collections import Counter
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from service.engine.runner import Reply
from service.errors import PositionConflict, QueueFull
from service.rpc import frames, wire
from service.rpc.frame_response import PlainResponses
from service.rpc.frames import Accepted
from service.sessions.frame import COUNTS, NO_POSITION, Frame
from statecast.v1 import forecast_pb2 as pb
from tests.frames import forecasts_of, frame, opening
from tests.sum_service import HORIZON, HOUR_US, VERSION, manifest, sum_service

START_US = 1_700_000_000_000_000
# A field that protobuf skips makes another message of a row, which goes the long way then.
UNKNOWN = wire.number(100, 1)
INTERNAL = int(grpc.StatusCode.INTERNAL.value[0])
REPLIES = st.sampled_from([pb.REPLY_UNSPECIFIED, pb.REPLY_NONE, pb.REPLY_LAST, pb.REPLY_EACH])

# What messages of one shape have in common; a stream learns a few shapes, and then reads them by hand.
SHAPES = st.fixed_dictionaries(
    {
        "numbers": st.sampled_from([[0], [1, 127], [128, 300], [2**63, 2**64 - 1]]),
        "places": st.sampled_from([[None], ["next", "next", "next", "before", "ahead"]]),
        "hours": st.sampled_from([[None], [1, 1, 1, 0, 4]]),
        "reply": REPLIES,
        "horizon": st.integers(0, HORIZON),
    }
)


@st.composite
def rows_of(draw, shapes):
    """A row of one of some shapes."""
    shape = draw(st.sampled_from(shapes))
    return {
        "handle": draw(st.integers(0, 2)),
        "value": draw(st.sampled_from([1.0, 2.5, -3.0])),
        "number": draw(st.sampled_from(shape["numbers"])),
        "position": draw(st.sampled_from(shape["places"])),
        "hours": draw(st.sampled_from(shape["hours"])),
        "reply": shape["reply"],
        "horizon": shape["horizon"],
    }


def groups_of(shapes):
    """Rows that come at once; one that comes alone may meet a failing model."""
    rows = rows_of(shapes)
    group = st.lists(rows, min_size=1, max_size=1) | st.lists(rows, min_size=1, max_size=5)
    return st.lists(st.tuples(group, st.sampled_from([False, False, False, True])), max_size=15)


GROUPS = st.lists(SHAPES, min_size=1, max_size=3).flatmap(groups_of)
# What the examples must have met.
MUST_SEE = {"applied alone", "no forecast", "EntryError", "INTERNAL", *COUNTS}


class Twins:
    """Two services that are sent the same rows on a stream; to the second, none of them is a plain row."""

    def __init__(self, by_hand, long_way):
        self.services = by_hand, long_way
        self.streams = [service.stream() for service in self.services]
        self.positions, self.hours = Counter(), Counter()
        self.num_sent = 0
        for stream in self.streams:
            stream.send(opening("sum", "a", "b", "c"))

    async def send(self, rows, fails):
        """Rows to each; what each answers."""
        for service in self.services:
            fails_now = fails and len(rows) == 1
            service.runner.fail_on = {len(service.runner.batches) + 1} if fails_now else set()
        for row in rows:
            content = self._request(**row).SerializeToString()
            for stream, more in zip(self.streams, (b"", UNKNOWN), strict=True):
                stream.send(content + more)
        before, self.num_sent = self.num_sent, self.num_sent + len(rows)
        answers = [(await stream.answered(self.num_sent))[before:] for stream in self.streams]
        for row, response in zip(rows, answers[0], strict=True):
            if not response.entry_errors:
                (self.positions[row["handle"]],) = np.frombuffer(response.positions, "<i8").tolist()
        return answers

    def _request(self, handle, value, number, position, hours, reply, horizon):
        at = self.positions[handle]
        place = {None: None, "next": [at], "before": [0], "ahead": [at + 9]}[position]
        times = None
        if hours is not None:
            self.hours[handle] += hours
            times = [START_US + self.hours[handle] * HOUR_US]
        fields = {"number": number, "reply": reply, "horizon": horizon}
        return frame([handle], [value], positions=place, times_us=times, **fields)


def without_correlation(response):
    """A response whose failures have no id of their own."""
    for error in response.entry_errors:
        if error.code == INTERNAL:
            error.message = "internal"
    return response


def test_what_a_plain_row_is_told_is_what_any_row_is_told():
    """A row that was read by hand is answered as the same row is that protobuf has read."""
    seen = Counter()

    @settings(max_examples=100, deadline=None, derandomize=True)
    @given(GROUPS)
    def hold(groups):
        with capture_logs():
            asyncio.run(compare(groups, seen))

    hold()
    assert {name for name, count in seen.items() if count} >= MUST_SEE


async def compare(groups, seen):
    """Send rows both ways."""
    async with sum_service(max_inline_rows=4) as by_hand, sum_service(max_inline_rows=4) as long_way:
        twins = Twins(by_hand, long_way)
        for rows, fails in groups:
            found, expected = await twins.send(rows, fails)
            assert list(map(without_correlation, found)) == list(map(without_correlation, expected))
            for response in found:
                look(response, seen)
        for stream in twins.streams:
            await stream.end()
        assert long_way.worker.num_alone == 0
        seen["applied alone"] += by_hand.worker.num_alone


def look(response, seen):
    """Count what a response has."""
    for name in COUNTS:
        seen[name] += bool(getattr(response, name))
    seen["no forecast"] += not (response.forecasts or response.entry_errors)
    for error in response.entry_errors:
        seen["INTERNAL" if error.code == INTERNAL else "EntryError"] += 1


def worker_of(quantile_levels):
    """The part of a worker that a response tells of."""
    served = manifest(quantile_levels=quantile_levels)
    model = SimpleNamespace(manifest=served, version=VERSION)
    return SimpleNamespace(model=model, newest_of=lambda _: VERSION)


@settings(max_examples=60)
@given(
    frame_id=st.integers(0, 2**64 - 1),
    num_entries=st.integers(1, 300),
    num_levels=st.integers(1, 9),
    horizon=st.integers(1, HORIZON),
    reply=st.sampled_from([Reply.NONE, Reply.LAST]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_frame_whose_entries_were_all_applied_is_answered_as_any_frame(
    frame_id, num_entries, num_levels, horizon, reply, seed
):
    """The answer written in one piece is the one that a message with room for refusals would be."""
    random, worker = np.random.default_rng(seed), worker_of(tuple(np.arange(1, num_levels + 1) / 10))
    none = np.full(num_entries, NO_POSITION)
    values = np.zeros((num_entries, 1))
    made = Frame(none, np.ones(num_entries, int), none, None, values, reply, lambda _: None)
    made.result.positions[:] = random.integers(0, 2**62, num_entries)
    if reply is Reply.LAST:
        shape = (num_entries, HORIZON, num_levels)
        made.result.dense = random.standard_normal(shape).astype(np.float32)
    accepted = Accepted(frame_id, horizon, num_entries, {}, made)
    responses = PlainResponses(worker.model.manifest)
    by_hand = frames.encode(accepted, worker, responses)
    # A frame of which something may have been dropped is not written in one piece.
    made.dropped = np.zeros(num_entries, bool)
    long_way = frames.encode(accepted, worker, responses)
    assert pb.StreamForecastsResponse.FromString(by_hand) == pb.StreamForecastsResponse.FromString(long_way)
    assert len(pb.StreamForecastsResponse.FromString(by_hand).positions) == 8 * num_entries


ENTRIES = st.lists(
    st.tuples(
        st.sampled_from([1.0, 2.5, -3.0, np.inf]),
        st.integers(1, 3),
        st.sampled_from([-1, -1, 0, 0, 1, 50, -2]),
        st.sampled_from([0, 1, 1, 2, 4]),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(ENTRIES, REPLIES, st.integers(0, HORIZON)), min_size=1, max_size=4))
def test_the_entries_of_a_frame_are_answered_as_if_each_came_alone(sent):
    """Whatever becomes of its neighbours, an entry has its own position, counts, forecasts and error."""
    together, alone = asyncio.run(both_ways(sent))
    assert together == alone


async def both_ways(sent):
    """What each entry of frames is told, and what it is told in a frame of its own."""
    names = opening("sum", *(f"s{number}" for number in range(8)))
    async with sum_service(max_inline_rows=24) as made, sum_service(max_inline_rows=24) as other:
        stream, each = made.stream(), other.stream()
        stream.send(names)
        each.send(names)
        for hours, (entries, reply, horizon) in enumerate(sent):
            columns = [entry_of(handle, *entry, hours) for handle, entry in enumerate(entries)]
            joined = [list(itertools.chain(*column)) for column in zip(*columns, strict=True)]
            stream.send(request_of(*joined, reply=reply, horizon=horizon))
            each.send(*(request_of(*column, reply=reply, horizon=horizon) for column in columns))
        together = [told for response in await stream.end() for told in told_to_each(response)]
        return together, [told for response in await each.end() for told in told_to_each(response)]


def request_of(handles, values, lengths, positions, times_us, **fields):
    """A frame of columns."""
    return frame(handles, values, lengths=lengths, positions=positions, times_us=times_us, **fields)


def entry_of(handle, value, num_rows, position, hour, is_named, hours):
    """The columns of one entry."""
    times = [START_US + (4 * hours + hour + row) * HOUR_US for row in range(num_rows)]
    # A frame is of its first handle's model, so that one has to be known.
    known = handle if is_named or handle == 0 else 99 + handle
    return [known], [value] * num_rows, [num_rows], [position], times


def told_to_each(response):
    """By entry: position, counts, forecasts with their positions, code."""
    if response.HasField("frame_error"):
        # The only entry of a frame without a known handle.
        return [(NO_POSITION, (0, 0, 0), [], [], response.frame_error.code)]
    positions = np.frombuffer(response.positions, "<i8").tolist()
    counts = [np.frombuffer(getattr(response, name) or bytes(4 * len(positions)), "<u4") for name in COUNTS]
    codes = {error.entry: error.code for error in response.entry_errors}
    forecasts = forecasts_of(response)
    made_at = np.repeat(positions, [len(each) for each in forecasts])
    if response.forecast_positions:
        made_at = np.frombuffer(response.forecast_positions, "<i8")
    ends = np.cumsum([len(each) for each in forecasts])
    return [
        (
            position,
            tuple(int(count[entry]) for count in counts),
            forecasts[entry].tolist(),
            made_at[ends[entry] - len(forecasts[entry]) : ends[entry]].tolist(),
            codes.get(entry),
        )
        for entry, position in enumerate(positions)
    ]


@pytest.mark.parametrize("error", [QueueFull(10, 0.25), PositionConflict(3, 9)])
def test_refusals_differ_in_their_ids_alone(error):
    """What is kept of a refusal is not another frame's, nor another limit's."""
    for number in (0, 7, 300):
        refused = frames.refuse(number, error)
        response = pb.StreamForecastsResponse.FromString(refused)
        assert (response.frame_id, response.frame_error.message) == (number, str(error))
        assert refused.endswith(frames.refuse(0, error))
    other = pb.StreamForecastsResponse.FromString(frames.refuse(1, QueueFull(11, 0.5))).frame_error
    assert (other.retry_after_ms, "11 rows" in other.message) == (500, True)


async def test_an_entry_whose_run_failed_has_no_counts():
    """Its session stands as before: neither gap nor late rows are told of; its neighbours keep theirs."""
    async with sum_service(max_inline_rows=4) as made:
        stream = made.stream()
        times = [START_US, START_US]
        stream.send(opening("sum", "a", "b"), frame([0, 1], [1.0, 1.0], times_us=times))
        await stream.answered(1)
        made.runner.fail_on = {2}
        later = [START_US + 3 * HOUR_US, START_US + HOUR_US]
        stream.send(frame([0, 1], [1.0, 1.0], times_us=later, positions=[1, 0]))
        with capture_logs():
            _, response = await stream.end()
        assert {error.entry: error.code for error in response.entry_errors} == {0: INTERNAL}
        assert (response.num_missing_steps, response.num_late) == (b"", b"")
        assert np.frombuffer(response.num_skipped, "<u4").tolist() == [0, 1]
