"""Requests of the Open Inference Protocol that are wrong say what is, and calls beside inference."""

import itertools
import math

import grpc
import numpy as np
import pytest

from service.rpc.inference import grpc_service_pb2 as pb
from tests.model_files import write_model
from tests.oip import InferenceStub, infer_request, tensor
from tests.server_process import serving

GOOD = [[1.0, 2.0]]
INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
_ids = itertools.count(1)


@pytest.fixture
def stub(channel):
    """The protocol's calls."""
    return InferenceStub(channel)


def changed(change, values=GOOD, **fields):
    """A good request after `change` has spoilt it."""
    request = infer_request(values, next(_ids), start=True, **fields)
    change(request)
    return request


def without_raw(request):
    del request.raw_input_contents[:]
    return request


def bytes_ids(raw, num):
    def change(request):
        del request.parameters["sequence_id"]
        request.inputs.add(name="sequence_ids", datatype="BYTES", shape=[num, 1])
        request.raw_input_contents.append(raw)

    return change


NOTHING = lambda request: None  # noqa: E731
BAD = {
    "model": (changed(NOTHING, model="three"), "model 'three' is not served", NOT_FOUND),
    "version that is no number": (
        changed(lambda r: setattr(r, "model_version", "latest")),
        "model_version: expected a version's number, or nothing, found 'latest'",
    ),
    "version that is not loaded": (
        changed(lambda r: setattr(r, "model_version", "7")),
        "model 'two' has no version 7; it has 1",
        NOT_FOUND,
    ),
    "no input": (
        changed(lambda r: [r.ClearField("inputs"), without_raw(r)]),
        "inputs: expected input 'x', found none",
    ),
    "other input": (
        changed(lambda r: setattr(r.inputs[0], "name", "h")),
        "inputs[0].name: expected one of x, times_us, positions, sequence_ids, found 'h'",
    ),
    "input twice": (
        changed(lambda r: tensor(r, "x", [GOOD], "FP64")),
        "inputs[1].name: expected each input once, found 'x'",
    ),
    "datatype": (
        changed(lambda r: setattr(r.inputs[0], "datatype", "FP32")),
        "input 'x': datatype: expected FP64, found 'FP32'",
    ),
    "rank": (
        changed(lambda r: r.inputs[0].shape.pop()),
        "input 'x': shape: expected [-1, -1, 2], -1 being any from 1 on, found [1, 1]",
    ),
    "features": (
        changed(NOTHING, values=[[1.0, 2.0, 3.0]]),
        "input 'x': shape: expected [-1, -1, 2], -1 being any from 1 on, found [1, 1, 3]",
    ),
    "no rows": (changed(NOTHING, values=np.empty((1, 0, 2))), "found [1, 0, 2]"),
    "a negative size": (
        changed(lambda r: r.inputs[0].shape.__setitem__(0, -1)),
        "found [-1, 1, 2]",
    ),
    "a size that nothing could hold": (
        changed(lambda r: r.inputs[0].shape.__setitem__(1, 2**62)),
        f"input 'x': raw_input_contents: expected {2**66} for shape [1, {2**62}, 2], found 16 bytes",
    ),
    "too many rows": (
        changed(NOTHING, values=GOOD * 51),
        "input 'x': expected at most 50 (max_rows_per_chunk), found 51 rows",
    ),
    "too many sequences": (
        changed(NOTHING, values=[GOOD] * 1025),
        "input 'x': expected at most 1024 (max_batch_size), found 1025 sequences",
    ),
    "many sequences by one id": (
        changed(NOTHING, values=[GOOD] * 2),
        "input 'x': batch dimension: expected 1 for one sequence_id; for many sequences send input "
        "'sequence_ids', found 2",
    ),
    "raw contents missing": (
        changed(lambda r: tensor(r, "times_us", [[1]], "INT64") or r.raw_input_contents.pop()),
        "raw_input_contents: expected one for each of 2 inputs, found 1 items",
    ),
    "raw beside contents": (
        changed(lambda r: r.inputs[0].contents.fp64_contents.extend([1.0, 2.0])),
        "input 'x': contents: expected none beside raw_input_contents, found contents",
    ),
    "contents of another type": (
        changed(lambda r: without_raw(r).inputs[0].contents.fp32_contents.extend([1.0, 2.0])),
        "input 'x': contents: expected fp64_contents for FP64, found fp32_contents",
    ),
    "too few contents": (
        changed(lambda r: without_raw(r).inputs[0].contents.fp64_contents.append(1.0)),
        "input 'x': contents.fp64_contents: expected 2 for shape [1, 1, 2], or raw_input_contents, found 1",
    ),
    "shared memory in": (
        changed(lambda r: r.inputs[0].parameters["shared_memory_region"].CopyFrom(pb.InferParameter())),
        "input 'x': parameters: expected none: shared memory is not served, found shared_memory_region",
    ),
    "classification out": (
        changed(
            lambda r: (
                r.outputs.add(name="forecast").parameters["classification"].CopyFrom(pb.InferParameter())
            )
        ),
        "outputs[0].parameters: expected none: neither shared memory nor classification is served",
    ),
    "other output": (
        changed(NOTHING, outputs=("h_next",)),
        "outputs[0].name: expected one of forecast, positions, errors, each once, found 'h_next'",
    ),
    "output twice": (changed(NOTHING, outputs=("forecast", "forecast")), "outputs[1].name: expected"),
    "infinity": (
        changed(NOTHING, values=[[math.inf, 2.0]]),
        "input 'x': values of row 0, feature 'y': expected a finite number, or NaN where missing, found inf",
    ),
    "missing where required": (changed(NOTHING, values=[[1.0, math.nan]]), "the model requires this feature"),
    "a truth value as id": (
        infer_request(GOOD, True, start=True),
        "sequence_id: expected int64_param or string_param, found bool_param",
    ),
    "a long id": (
        infer_request(GOOD, "é" * 129, start=True),
        "sequence_id: expected 1 to 256 bytes, found 258",
    ),
    "a number as start": (
        infer_request(GOOD, 1, start=1),
        "sequence_start: expected bool_param, found int64_param",
    ),
    "a text as timeout": (
        infer_request(GOOD, 1, timeout="1"),
        "timeout: expected int64_param, found string_param",
    ),
    "a negative timeout": (infer_request(GOOD, 1, timeout=-1), "timeout: expected microseconds, 0 for none"),
    "a negative position": (
        infer_request(GOOD, 1, statecast_position=-1),
        "statecast_position: expected a number of rows, found -1",
    ),
    "a misspelt parameter of ours": (
        infer_request(GOOD, 1, statecast_positon=1),
        "parameters: expected statecast_position, or a name that is not ours, found 'statecast_positon'",
    ),
    "id and ids": (
        infer_request([GOOD], 1, ids=["a"], start=True),
        "sequence_id: expected none beside input 'sequence_ids', found '1'",
    ),
    "an id twice": (
        infer_request([GOOD] * 2, ids=["a", "a"], start=True),
        "input 'sequence_ids': expected each sequence once, found 'a' twice",
    ),
    "an empty id": (
        infer_request([GOOD] * 2, ids=["a", ""], start=True),
        "input 'sequence_ids': item 1: expected 1 to 256 bytes, found 0 bytes",
    ),
    "ids that are no text": (
        changed(bytes_ids(b"\x02\0\0\0\xff\xfe", 1)),
        "input 'sequence_ids': item 0: expected a session's id, found 2 bytes that are not UTF-8",
    ),
    "ids that end too early": (
        changed(bytes_ids(b"\xff\xff\xff\xff\x01", 1)),
        "input 'sequence_ids': raw_input_contents: expected whole items, found a size beyond the end",
    ),
    "fewer ids than sequences": (
        infer_request([GOOD] * 2, ids=["a"], start=True),
        "input 'sequence_ids': batch dimension: expected 2, that of input 'x', found 1",
    ),
    "one position for many": (
        infer_request([GOOD], ids=["a"], start=True, statecast_position=0),
        "statecast_position: expected input 'positions' for many sequences, found 0",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_request_names_what_is_wrong(stub, case):
    """The field, what was expected and what was found; nothing is applied and the server goes on."""
    request, message, *code = BAD[case]
    with pytest.raises(grpc.RpcError) as refusal:
        stub.ModelInfer(request)
    assert refusal.value.code() is (code or [INVALID])[0], refusal.value.details()
    assert message in refusal.value.details()


def test_parameters_of_others_are_left_alone(stub):
    """A client's own parameter is no reason to refuse a request."""
    stub.ModelInfer(infer_request(GOOD, next(_ids), start=True, trace_id="abc", weight=0.5))


@pytest.mark.parametrize("method", ["ModelInfer", "ModelMetadata", "RepositoryModelLoad"])
def test_bytes_that_are_no_message_are_an_invalid_argument(stub, method):
    """Not an internal error, and no traceback."""
    with pytest.raises(grpc.RpcError) as refusal:
        getattr(stub, method)(b"\xff\xff\xff")
    assert refusal.value.code() is INVALID
    assert refusal.value.details().startswith(f"message: expected a {method}Request, found 3 bytes")


def test_calls_that_are_not_served_are_unimplemented(channel):
    """Shared memory is not advertised, and not there."""
    call = channel.unary_unary("/inference.GRPCInferenceService/SystemSharedMemoryStatus")
    with pytest.raises(grpc.RpcError) as refusal:
        call(b"")
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_readiness_metadata_and_configuration_of_what_is_not_there(stub):
    """An unknown model or version is not ready; asked for more of it, the server says so."""
    ready = stub.ModelReady
    assert ready(pb.ModelReadyRequest(name="two", version="1")).ready
    assert not ready(pb.ModelReadyRequest(name="two", version="2")).ready
    assert not ready(pb.ModelReadyRequest(name="two", version="x")).ready
    for call, request in (
        (stub.ModelMetadata, pb.ModelMetadataRequest(name="nobody")),
        (stub.ModelConfig, pb.ModelConfigRequest(name="two", version="2")),
        (stub.ModelStatistics, pb.ModelStatisticsRequest(name="nobody")),
    ):
        with pytest.raises(grpc.RpcError) as refusal:
            call(request)
        assert refusal.value.code() is NOT_FOUND


def test_versions_are_loaded_told_and_let_go(tmp_path):
    """Load serves a version by number or the highest; the served one cannot be let go, the old one can."""
    for version in (1, 2):
        write_model(tmp_path, "gru", "gru", features=("y",), version=version, seed=version - 1)
    with serving(tmp_path, "--watch-s", "0") as server, grpc.insecure_channel(server.address) as channel:
        stub = InferenceStub(channel)

        def index():
            found = stub.RepositoryIndex(pb.RepositoryIndexRequest(ready=True)).models
            return [(each.name, each.version, each.state) for each in found]

        def change(call, kind, **parameters):
            request = kind(model_name="gru")
            for name, value in parameters.items():
                request.parameters[name].int64_param = value
            return call(request)

        load = (stub.RepositoryModelLoad, pb.RepositoryModelLoadRequest)
        unload = (stub.RepositoryModelUnload, pb.RepositoryModelUnloadRequest)
        assert index() == [("gru", "2", "READY")]
        stub.ModelInfer(infer_request([[1.0]], "old", model="gru", start=True))
        change(*load, statecast_version=1)
        assert index() == [("gru", "1", "READY"), ("gru", "2", "READY")]
        answer = stub.ModelInfer(infer_request([[1.0]], "new", model="gru", start=True))
        assert answer.model_version == "1"
        assert stub.ModelInfer(infer_request([[1.0]], "old", model="gru")).model_version == "2"
        starting = infer_request([[1.0]], "third", model="gru", start=True)
        starting.model_version = "2"
        for call, says in (
            (lambda: stub.ModelInfer(starting), "sequences begin with the version that is served"),
            (lambda: change(*unload), "it is the one that is served"),
            (lambda: change(*unload, statecast_version=2), "1 sessions in memory are on it"),
            (lambda: change(*load, config=1), "expected statecast_version"),
        ):
            with pytest.raises(grpc.RpcError) as refusal:
                call()
            assert says in refusal.value.details()
        stub.ModelInfer(infer_request([[1.0]], "old", model="gru", end=True))
        change(*unload, statecast_version=2)
        assert index() == [("gru", "1", "READY")]
        change(*load)
        assert index() == [("gru", "1", "READY"), ("gru", "2", "READY")]
