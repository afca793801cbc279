"""Sequences of the Open Inference Protocol are sessions: starting, going on, ending, and what survives."""

import itertools

import grpc
import numpy as np
import pytest

from models.artifact import unseal
from service.rpc.inference import grpc_service_pb2 as pb
from statecast import Client
from tests.oip import InferenceStub, infer_request, outputs_of
from tests.reference import assert_close, reference_forecasts
from tests.server_process import ServerProcess

ROWS = np.random.default_rng(1).normal(10, 3, (8, 2))
INVALID = grpc.StatusCode.INVALID_ARGUMENT
_ids = (f"sequence-{number}" for number in itertools.count())


@pytest.fixture
def stub(channel):
    """The protocol's calls."""
    return InferenceStub(channel)


@pytest.fixture(scope="module")
def expected(repository):
    """(T, K, Q): the forecast after each of ROWS, by ONNX Runtime alone."""
    content = (repository / "two" / "1" / "model.onnx").read_bytes()
    return reference_forecasts(content, unseal(content)[1], ROWS)


def position_of(response):
    return response.parameters["statecast_position"].int64_param


def refused(call, request):
    """The status of a call that must fail."""
    with pytest.raises(grpc.RpcError) as refusal:
        call(request)
    return refusal.value


def test_start_on_a_live_sequence_begins_it_anew(stub, expected):
    """The state is that of no rows, not that of the rows before."""
    name = next(_ids)
    stub.ModelInfer(infer_request(ROWS[3:6], name, start=True))
    response = stub.ModelInfer(infer_request(ROWS[:2], name, start=True))
    assert position_of(response) == 2
    assert_close(outputs_of(response)["forecast"][0], expected[1])


def test_a_strict_start_on_a_live_sequence_is_refused_and_changes_nothing(stub, expected):
    """Whoever asks for it is told that the sequence is open; its state stands."""
    name = next(_ids)
    stub.ModelInfer(infer_request(ROWS[:2], name, start=True))
    again = infer_request(ROWS[:2], name, start=True, statecast_strict_start=True)
    assert refused(stub.ModelInfer, again).code() is grpc.StatusCode.ALREADY_EXISTS
    response = stub.ModelInfer(infer_request(ROWS[2:3], name))
    assert_close(outputs_of(response)["forecast"][0], expected[2])
    stub.ModelInfer(infer_request(ROWS[:1], next(_ids), start=True, statecast_strict_start=True))


def test_an_ended_sequence_is_unknown(stub):
    """Its rows are answered, and the next request without START is refused."""
    name = next(_ids)
    stub.ModelInfer(infer_request(ROWS[:1], name, start=True))
    assert position_of(stub.ModelInfer(infer_request(ROWS[1:2], name, end=True))) == 2
    error = refused(stub.ModelInfer, infer_request(ROWS[2:3], name))
    assert error.code() is INVALID
    assert (
        f"START flag on the first request of the sequence (sequence_start), found {name!r}" in error.details()
    )


def test_a_refused_request_does_not_end_its_sequence(stub):
    """END counts once the rows are applied."""
    name = next(_ids)
    stub.ModelInfer(infer_request(ROWS[:1], name, start=True))
    ahead = infer_request(ROWS[5:6], name, end=True, statecast_position=5)
    assert refused(stub.ModelInfer, ahead).code() is grpc.StatusCode.ABORTED
    assert position_of(stub.ModelInfer(infer_request(ROWS[1:2], name))) == 2


def test_numbers_name_sessions_by_their_digits(server, stub):
    """A negative int64 is a uint64; both APIs find the same sessions."""
    uint64 = pb.InferParameter(uint64_param=2**64 - 5)
    stub.ModelInfer(infer_request(ROWS[:1], -5, start=True))
    request = infer_request(ROWS[1:2])
    request.parameters["sequence_id"].CopyFrom(uint64)
    assert position_of(stub.ModelInfer(request)) == 2
    with Client(server.address) as client:
        session = client.session("two", str(2**64 - 5))
        assert session.forecast([ROWS[2].tolist()]).position == 3
    assert position_of(stub.ModelInfer(infer_request(ROWS[3:4], str(2**64 - 5)))) == 4


@pytest.mark.parametrize("none", [0, "", None])
def test_a_request_of_no_sequence_is_refused(stub, none):
    """0 and the empty text are none."""
    error = refused(stub.ModelInfer, infer_request(ROWS[:1], none, start=True))
    assert error.code() is INVALID
    assert "sequence_id: expected a number other than 0, a text, or input 'sequence_ids'" in error.details()


def test_many_requests_of_one_sequence_in_flight_are_queued(stub, expected):
    """On a stream, starts and ends among them, each sees what those before it did; answers keep the order."""
    name, other = next(_ids), next(_ids)
    requests = []
    for turn in range(3):
        for step in range(8):
            last = step == 7
            requests.append(
                infer_request(ROWS[step : step + 1], name, start=step == 0, end=last and turn == 2)
            )
        requests.append(infer_request(ROWS[:1], other, start=True))
    for number, request in enumerate(requests):
        request.id = str(number)
    answers = list(stub.ModelStreamInfer(iter(requests), timeout=30))
    assert [answer.error_message for answer in answers] == [""] * len(requests)
    assert [answer.infer_response.id for answer in answers] == [request.id for request in requests]
    for turn in range(3):
        mine = answers[9 * turn : 9 * turn + 8]
        assert [position_of(answer.infer_response) for answer in mine] == list(range(1, 9))
        assert_close([outputs_of(a.infer_response)["forecast"][0] for a in mine], expected)


def test_a_streams_errors_are_answers_and_leave_it_open(stub):
    """Each names its request; what is no message is answered too; the rest goes on."""
    name = next(_ids)
    requests = [
        infer_request(ROWS[:1], name, request_id="unknown"),
        infer_request(ROWS[:1], name, request_id="started", start=True),
        b"\xff\xff\xff",
        infer_request(ROWS[:1], name, request_id="model", model="three"),
        infer_request(ROWS[1:2], name, request_id="goes on"),
    ]
    answers = list(stub.ModelStreamInfer(iter(requests), timeout=30))
    assert [a.infer_response.id for a in answers] == ["unknown", "started", "", "model", "goes on"]
    said = [a.error_message for a in answers]
    assert said[0].startswith("[INVALID_ARGUMENT] sequence_id: expected a sequence that is open")
    assert said[2].startswith("[INVALID_ARGUMENT] message: expected a ModelInferRequest, found 3 bytes")
    assert said[3].startswith("[NOT_FOUND] model 'three' is not served")
    assert (said[1], said[4]) == ("", "")
    assert position_of(answers[4].infer_response) == 2
    assert answers[4].infer_response.parameters["triton_final_response"].bool_param


def test_answers_hold_the_outputs_that_were_asked_for_in_that_order(stub):
    """All are raw; without a forecast among them the row is only observed."""
    name = next(_ids)
    response = stub.ModelInfer(infer_request(ROWS[:2], name, start=True))
    assert [output.name for output in response.outputs] == ["forecast", "positions"]
    response = stub.ModelInfer(infer_request(ROWS[2:3], name, outputs=("positions",)))
    assert [(o.name, list(o.shape)) for o in response.outputs] == [("positions", [1, 1])]
    assert response.raw_output_contents == [(3).to_bytes(8, "little")]
    response = stub.ModelInfer(infer_request(ROWS[3:4], name, outputs=("errors", "forecast")))
    assert [output.name for output in response.outputs] == ["errors", "forecast"]
    assert not any(output.HasField("contents") for output in response.outputs)


def test_contents_do_as_well_as_raw_bytes(stub, expected):
    """Typed items are taken in place of raw ones; times come along as a tensor of their own."""
    name = next(_ids)
    request = infer_request(ROWS[:2], name, start=True)
    del request.raw_input_contents[:]
    request.inputs[0].contents.fp64_contents.extend(ROWS[:2].ravel())
    times = request.inputs.add(name="times_us", datatype="INT64", shape=[1, 2])
    times.contents.int64_contents.extend([0, 3_600_000_000])
    response = stub.ModelInfer(request)
    assert_close(outputs_of(response)["forecast"][0], expected[1])
    late = infer_request(ROWS[2:3], name)
    late.inputs.add(name="times_us", datatype="INT64", shape=[1, 1])
    late.raw_input_contents.append((3_600_000_000).to_bytes(8, "little"))
    response = stub.ModelInfer(late)
    assert response.parameters["statecast_late"].int64_param == 1


def test_many_sequences_start_go_on_and_end_in_single_requests(stub, expected):
    """Each has its own outcome; one that is not open, or whose row is bad, harms no other."""
    ids = [next(_ids) for _ in range(4)]
    stub.ModelInfer(infer_request([ROWS[:2]] * 3, ids=ids[:3], start=True))
    values = np.stack([ROWS[2:3]] * 4)
    values[1, 0, 1] = np.inf
    response = stub.ModelInfer(infer_request(values, ids=ids, end=True))
    found = outputs_of(response)
    assert found["positions"].ravel().tolist() == [3, -1, 3, -1]
    assert_close(found["forecast"][[0, 2]], expected[[2, 2]])
    assert found["errors"][0] == found["errors"][2] == ""
    assert found["errors"][1].startswith(
        "[INVALID_ARGUMENT] input 'x': values of row 0, feature 'temperature'"
    )
    assert "START flag" in found["errors"][3]
    found = outputs_of(stub.ModelInfer(infer_request([ROWS[2:3]] * 3, ids=ids[:3])))
    assert found["positions"].ravel().tolist() == [-1, 3, -1]


def test_a_timeout_that_passes_before_its_turn_drops_the_request(stub):
    """One microsecond is over before a batch begins; nothing was applied."""
    name = next(_ids)
    stub.ModelInfer(infer_request(ROWS[:1], name, start=True))
    error = refused(stub.ModelInfer, infer_request(ROWS[1:2], name, timeout=1))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert position_of(stub.ModelInfer(infer_request(ROWS[1:2], name, timeout=30_000_000))) == 2


def test_sequences_outlive_a_kill(repository, tmp_path, expected):
    """The next server goes on with the state; an ended sequence stays ended, an unknown one unknown."""
    flags = ("--store", f"sqlite:{tmp_path / 'sessions.db'}")
    with ServerProcess(repository, *flags) as server, grpc.insecure_channel(server.address) as channel:
        stub = InferenceStub(channel)
        for name in ("lives", "ends"):
            stub.ModelInfer(infer_request(ROWS[:3], name, start=True))
        stub.ModelInfer(infer_request(ROWS[3:4], "ends", end=True))
        server.process.kill()
        server.process.wait()
    with ServerProcess(repository, *flags) as server, grpc.insecure_channel(server.address) as channel:
        stub = InferenceStub(channel)
        response = stub.ModelInfer(infer_request(ROWS[3:4], "lives"))
        assert_close(outputs_of(response)["forecast"][0], expected[3])
        for name in ("ends", "never was"):
            assert refused(stub.ModelInfer, infer_request(ROWS[:1], name)).code() is INVALID
        response = stub.ModelInfer(infer_request(ROWS[:1], "lives", start=True))
        assert position_of(response) == 1
        assert_close(outputs_of(response)["forecast"][0], expected[0])


def test_sequences_that_left_memory_are_open_still(repository, expected):
    """With room for two in memory, four go on in turns: none is taken for unknown."""
    with (
        ServerProcess(repository, "--max-resident-sessions", "2") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        stub = InferenceStub(channel)
        names = [next(_ids) for _ in range(4)]
        for step in range(3):
            for name in names:
                response = stub.ModelInfer(infer_request(ROWS[step : step + 1], name, start=step == 0))
                assert_close(outputs_of(response)["forecast"][0], expected[step])
        error = refused(stub.ModelInfer, infer_request(ROWS[:1], "nobody"))
        assert error.code() is INVALID


def test_a_draining_server_answers_what_it_read_and_says_that_it_is_not_ready(repository):
    """A stream's requests are answered, then it ends with UNAVAILABLE."""
    with ServerProcess(repository) as server, grpc.insecure_channel(server.address) as channel:
        stub = InferenceStub(channel)
        asked = iter([infer_request(ROWS[:1], "drained", start=True)])
        gate = stub.ModelStreamInfer(itertools.chain(asked, iter(lambda: server.wait_for("stopped"), None)))
        assert next(gate).infer_response.outputs
        assert stub.ServerReady(pb.ServerReadyRequest()).ready
        server.process.terminate()
        with pytest.raises(grpc.RpcError) as end:
            next(gate)
        assert end.value.code() is grpc.StatusCode.UNAVAILABLE
