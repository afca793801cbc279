"""Whatever comes as a `ModelInfer` request: refused in words or understood, quickly, in little memory."""

import tracemalloc
from datetime import timedelta

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, find, given, settings
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.rpc.inference import grpc_service_pb2 as pb
from service.rpc.oip import asked
from service.rpc.oip.contract import InferenceLimits

LIMITS = InferenceLimits(
    max_batch_size=8, max_rows_per_chunk=16, max_message_bytes=2**20, max_sessions=10, session_ttl_s=60.0
)
NAMES = st.sampled_from(["x", "times_us", "positions", "sequence_ids", "h", "", "x\0"])
TYPES = st.sampled_from(["FP64", "INT64", "BYTES", "FP32", ""])
SIZES = st.one_of(
    st.integers(0, 4),
    st.sampled_from([-1, -(2**63), 2**31, 2**62, 2**63 - 1]),
    st.integers(-(2**63), 2**63 - 1),
)
TEXTS = st.text(max_size=8)
RAW = st.one_of(
    st.binary(max_size=64),
    st.lists(st.floats(width=64), max_size=8).map(lambda items: np.array(items, "<f8").tobytes()),
    st.lists(st.binary(max_size=6), max_size=4).map(
        lambda items: b"".join(len(item).to_bytes(4, "little") + item for item in items)
    ),
    st.sampled_from([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7fabc", b"\0" * 4096]),
)
GOOD_NAMES = st.text("abc/1", min_size=1, max_size=4).map(str.encode)
# 0 is no sequence at all; negatives are large unsigned ones.
GOOD_NUMBERS = st.integers(-(2**63), -1) | st.integers(1, 2**63 - 1)
# More than any refusal or reading of so small a request has reason to take.
MAX_BYTES = 4 * 2**20


@st.composite
def parameters(draw):
    """A value, or none at all."""
    int64s = st.one_of(st.integers(-2, 2), st.integers(-(2**63), 2**63 - 1))
    return draw(
        st.one_of(
            st.builds(pb.InferParameter, bool_param=st.booleans()),
            st.builds(pb.InferParameter, int64_param=int64s),
            st.builds(pb.InferParameter, uint64_param=st.integers(0, 2**64 - 1)),
            st.builds(pb.InferParameter, string_param=TEXTS),
            st.builds(pb.InferParameter, double_param=st.floats()),
            st.just(pb.InferParameter()),
        )
    )


PARAMETER_NAMES = st.sampled_from(
    [
        "sequence_id",
        "sequence_start",
        "sequence_end",
        "timeout",
        "priority",
        "statecast_position",
        "statecast_strict_start",
        "statecast_sequence_start",
        "statecast_",
        "triton_enable_empty_final_response",
        "triton_",
        "other",
        "",
    ]
)


@st.composite
def inputs(draw):
    """A tensor, right or wrong, with contents or without."""
    each = pb.ModelInferRequest.InferInputTensor(
        name=draw(NAMES), datatype=draw(TYPES), shape=draw(st.lists(SIZES, max_size=4))
    )
    if draw(st.booleans()):
        each.contents.fp64_contents.extend(draw(st.lists(st.floats(), max_size=4)))
        each.contents.int64_contents.extend(draw(st.lists(st.integers(-3, 2**63 - 1), max_size=2)))
        each.contents.bytes_contents.extend(draw(st.lists(st.binary(max_size=4), max_size=2)))
    if draw(st.integers(0, 9)) == 0:
        each.parameters["shared_memory_region"].CopyFrom(draw(parameters()))
    return each


@st.composite
def wild(draw):
    """A request of anything."""
    request = pb.ModelInferRequest(
        inputs=draw(st.lists(inputs(), max_size=4)),
        raw_input_contents=draw(st.lists(RAW, max_size=4)),
        outputs=[
            pb.ModelInferRequest.InferRequestedOutputTensor(name=name)
            for name in draw(st.lists(st.sampled_from(["forecast", "positions", "errors", ""]), max_size=3))
        ],
    )
    for name, value in draw(st.dictionaries(PARAMETER_NAMES, parameters(), max_size=4)).items():
        request.parameters[name].CopyFrom(value)
    return request


@st.composite
def nearly_right(draw):
    """A good request, or one that a single change made wrong: half of them are to be understood."""
    num, rows = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    change = draw(st.sampled_from(["nothing", "nothing", "nothing", "names", "parameter", "shape"]))
    request = pb.ModelInferRequest()
    values = np.array(draw(st.lists(st.floats(-1e6, 1e6), min_size=num * rows * 2, max_size=num * rows * 2)))
    request.inputs.add(name="x", datatype="FP64", shape=[num, rows, 2])
    request.raw_input_contents.append(values.astype("<f8").tobytes())
    if num > 1 or draw(st.booleans()):
        # Ids that are empty, given twice or no UTF-8 are among what is wrong with names.
        each, unique = (st.binary(max_size=4), False) if change == "names" else (GOOD_NAMES, True)
        names = draw(st.lists(each, min_size=num, max_size=num, unique=unique))
        request.inputs.add(name="sequence_ids", datatype="BYTES", shape=[num, 1])
        request.raw_input_contents.append(b"".join(len(n).to_bytes(4, "little") + n for n in names))
    elif change == "names":
        request.parameters["sequence_id"].CopyFrom(draw(parameters()))
    else:
        request.parameters["sequence_id"].int64_param = draw(GOOD_NUMBERS)
    if change == "parameter":
        request.parameters[draw(PARAMETER_NAMES)].CopyFrom(draw(parameters()))
    if change == "shape":
        each = draw(st.sampled_from(list(request.inputs)))
        each.shape[draw(st.integers(0, len(each.shape) - 1))] = draw(SIZES)
    return request


def read(request, manifest):
    """Understood, or refused in words that name a field; never anything else."""
    tracemalloc.start()
    try:
        found = asked.read(request, manifest, LIMITS)
    except InvalidRequest as error:
        assert len(str(error)) < 2000
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MAX_BYTES, f"{peak} bytes for a request of {request.ByteSize()}"
    num, rows, features = found.values.shape
    assert 1 <= num <= LIMITS.max_batch_size
    assert 1 <= rows <= LIMITS.max_rows_per_chunk
    assert features == len(manifest.features)
    assert len(found.sequence_ids) == len(set(found.sequence_ids)) == len(found.positions) == num
    assert all(found.sequence_ids)
    assert found.times_us is None or found.times_us.shape == (num, rows)
    assert all(index < num for index in found.errors)
    return found


_quick = settings(max_examples=150, deadline=timedelta(seconds=2))


@pytest.fixture(scope="module")
def manifest(lstm_file):
    """Of a model of two features."""
    return lstm_file[1]


@_quick
@given(content=st.binary(max_size=256))
@example(content=b"\x3a\xff\xff\xff\xff\x0f")
def test_any_bytes_are_refused_or_read(manifest, content):
    """Bytes that protobuf takes for a request are read or refused; others are no message."""
    try:
        request = pb.ModelInferRequest.FromString(content)
    except DecodeError:
        return
    read(request, manifest)


@_quick
@given(request=wild())
def test_any_request_is_refused_or_read(manifest, request):
    """Wrong names, types, shapes and contents in every mixture."""
    read(request, manifest)


def test_the_requests_of_these_tests_are_read_as_well_as_refused(manifest):
    """Some of what is nearly right is understood: for one sequence, and for many."""
    for num in (1, 2):
        find(nearly_right(), lambda r, num=num: (found := read(r, manifest)) and len(found.positions) == num)


@_quick
@given(request=nearly_right())
def test_a_request_that_is_nearly_right_is_refused_or_read(manifest, request):
    """What is understood holds as many ids, rows and positions as it says."""
    read(request, manifest)


@settings(max_examples=100, deadline=timedelta(seconds=2))
@given(request=nearly_right(), content=st.binary(max_size=8), place=st.integers(0, 10_000))
def test_a_request_with_bytes_written_over_is_refused_or_read(manifest, request, content, place):
    """Damage on the way is no different from malice."""
    whole = bytearray(request.SerializeToString())
    start = place % (len(whole) + 1)
    whole[start : start + len(content)] = content
    try:
        damaged = pb.ModelInferRequest.FromString(bytes(whole))
    except DecodeError:
        return
    read(damaged, manifest)
