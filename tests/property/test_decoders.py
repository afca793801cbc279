"""Whatever comes from elsewhere is understood or refused: no crash, no hang, no memory beyond its size."""

import math
import struct
import tracemalloc
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.artifact import ArtifactError, unseal
from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import session_pb2
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS, in_a_file

SEEDS = seeds()
# Of so small an input: tables of a kind of request are set up once, and protobuf keeps some of its own.
MAX_BYTES = 4 << 20
_quick = settings(
    max_examples=120, deadline=timedelta(seconds=5), suppress_health_check=[HealthCheck.too_slow]
)


@pytest.fixture(scope="module", autouse=True)
def a_model_file(lstm_file):
    """A real one, as a seed."""
    SEEDS["model_file"] = [lstm_file[0]]


def run(name, content):
    """What a target makes of an input, in little memory."""
    tracemalloc.start()
    try:
        return TARGETS[name](content)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MAX_BYTES + 100 * len(content), f"{peak} bytes for an input of {len(content)}"


@st.composite
def changed(draw, name):
    """An input that is understood, with some of it written over, left out, doubled or of another's."""
    whole = bytearray(draw(st.sampled_from(SEEDS[name])))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(whole)))
        end = min(start + draw(st.sampled_from([0, 1, 2, 4, 8, 64])), len(whole))
        match draw(st.integers(0, 3)):
            case 0:
                whole[start:end] = draw(st.binary(min_size=end - start, max_size=end - start))
            case 1:
                del whole[start:end]
            case 2:
                whole[start:start] = whole[start:end] * draw(st.integers(1, 3))
            case 3:
                whole[start:end] = draw(
                    st.sampled_from([b"\xff\xff\xff\xff\x0f", b"\0", b"[", b"{", b"1e999"])
                )
    return bytes(whole)


@pytest.mark.parametrize("name", TARGETS)
def test_what_the_tests_begin_with_is_understood(name):
    """Or they would try refusals alone."""
    if name == "manifest_json":
        # It is read, and then found to be of another graph than the none there is.
        with pytest.raises(ArtifactError, match=r"^digest"):
            unseal(in_a_file(SEEDS[name][0].decode()))
        return
    assert all(run(name, seed) for seed in SEEDS[name])


@pytest.mark.parametrize("name", TARGETS)
@_quick
@given(data=st.data())
def test_any_bytes_are_understood_or_refused(name, data):
    """Of no form at all."""
    run(name, data.draw(st.binary(max_size=300)))


@pytest.mark.parametrize("name", TARGETS)
@_quick
@given(data=st.data())
def test_changed_inputs_are_understood_or_refused(name, data):
    """Of nearly the right form."""
    run(name, data.draw(changed(name)))


def columns(code, numbers, max_size=4):
    """A column of little-endian numbers, or a piece of one."""
    whole = st.lists(numbers, max_size=max_size).map(
        lambda items: struct.pack(f"<{len(items)}{code}", *items)
    )
    return st.one_of(whole, whole, st.binary(max_size=9))


WILD_FRAMES = st.builds(
    pb.Frame,
    handles=columns("I", st.sampled_from([0, 1, 2, 3, (1 << 24) - 1, (1 << 32) - 1])),
    lengths=columns("I", st.sampled_from([0, 1, 2, 3, 1 << 31, (1 << 32) - 1])),
    positions=columns("q", st.sampled_from([-2, -1, 0, 1, (1 << 63) - 1, -(1 << 63)])),
    times_us=columns("q", st.integers(-(1 << 63), (1 << 63) - 1)),
    values=columns("d", st.floats() | st.sampled_from([0.0, 1.0]), max_size=8),
    reply=st.integers(0, 4),
    horizon=st.integers(0, 6),
)


@st.composite
def nearly_right_frames(draw):
    """Columns that agree in their sizes; what is in them may be wrong."""

    def packed(code, numbers, size):
        return struct.pack(f"<{size}{code}", *draw(st.lists(numbers, min_size=size, max_size=size)))

    lengths = draw(st.lists(st.sampled_from([1, 1, 2, 0, 3]), min_size=1, max_size=4))
    num = sum(lengths)
    return pb.Frame(
        handles=packed("I", st.sampled_from([0, 1, 2] * 4 + [(1 << 24) - 1, 3, (1 << 32) - 1]), len(lengths)),
        lengths=struct.pack(f"<{len(lengths)}I", *lengths),
        positions=draw(st.sampled_from([b"", packed("q", st.integers(-2, 2), len(lengths))])),
        times_us=draw(st.sampled_from([b"", packed("q", st.integers(0, 9) | st.just(1 << 62), num)])),
        values=packed("d", st.sampled_from([0.0, 1.0] * 8 + [math.nan, math.inf, -1.0, 0.5]), 2 * num),
        reply=draw(st.integers(0, 3)),
    )


FRAMES = WILD_FRAMES | nearly_right_frames()
TENSORS = st.builds(
    session_pb2.StateTensor,
    name=st.sampled_from(["h", "n", "c", ""]),
    dtype=st.sampled_from(["float32", "int64", "object"]),
    shape=st.lists(st.sampled_from([0, 1, 2, 3, (1 << 32) - 1]), max_size=3),
    content=st.sampled_from([b"", bytes(8), bytes(24), bytes(25)]),
)
RIGHT = [
    session_pb2.StateTensor(name="h", dtype="float32", shape=[2, 3], content=bytes(24)),
    session_pb2.StateTensor(name="n", dtype="int64", shape=[1], content=bytes(8)),
]
EXPORTS = st.builds(
    session_pb2.ExportedSession,
    format=st.sampled_from([1, 1, 1, 0, 2]),
    model_digest=st.text(max_size=3),
    session_id=st.text(max_size=3),
    position=st.sampled_from([0, 1, 1 << 62, (1 << 64) - 1]),
    last_time_us=st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
    states=st.one_of(
        st.just(RIGHT),
        st.permutations(RIGHT),
        st.lists(TENSORS, max_size=3),
        TENSORS.map(lambda one: [one, RIGHT[1]]),
    ),
    recent=st.sampled_from([b"", bytes(16), bytes(17)]),
    tenant=st.sampled_from(["", "acme", "bolt"]),
)


@_quick
@given(frame=FRAMES)
def test_any_frame_is_understood_or_refused(frame):
    """Columns of every length and number: what is submitted agrees with itself."""
    run("stream_message", pb.StreamForecastsRequest(frame=frame).SerializeToString())


@_quick
@given(message=EXPORTS)
def test_any_exported_session_is_understood_or_refused(message):
    """With a checksum that is right: what is imported fits its model."""
    run("imported_state", message.SerializeToString())


@pytest.mark.parametrize("depth", [10, 1000, 100_000])
def test_a_deep_manifest_is_refused(depth):
    """Brackets inside brackets."""
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        assert not run("manifest_json", (opening * depth + closing * depth).encode())
