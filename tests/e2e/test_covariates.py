"""What is known ahead, and the time of each row, reach the graph by every way that rows can take."""

import itertools

import grpc
import numpy as np
import pytest

import statecast
from service.sessions.seal_keys import new_key
from statecast import columns
from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import forecast_pb2_grpc, model_pb2, model_pb2_grpc
from tests.echo_model import MISSING, write_echo
from tests.oip import InferenceStub, infer_request, tensor
from tests.server_process import ServerProcess, serving

FIRST = np.datetime64("2024-05-01T00", "h")
HOUR = int(FIRST.astype("datetime64[h]").astype(np.int64))
TIMES = FIRST + np.arange(6)
ROWS = np.column_stack([np.arange(1.0, 7), np.arange(10.0, 16), np.ones(6)])
AHEAD = ROWS[:, 1, None] + np.arange(1, 4)
WIDE = np.hstack([ROWS, AHEAD])
_names = (f"s{number}" for number in itertools.count())


def told(row, *, time=None, wide=True, stepped=None, timeless=0):
    """What the model answers after row `row` of those above."""
    ahead = AHEAD[row] if wide else [MISSING] * 3
    hour = MISSING if time is None else time
    stepped = row + 1 if stepped is None else stepped
    return [*ROWS[row], *ahead, hour, stepped, timeless]


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    path = tmp_path_factory.mktemp("repository")
    write_echo(path)
    return path


@pytest.fixture(scope="module")
def server(repository, tmp_path_factory):
    keys = tmp_path_factory.mktemp("keys") / "seal.keys"
    keys.write_text(new_key() + "\n")
    with serving(repository, "--seal-keys", str(keys)) as running:
        yield running


@pytest.fixture
def client(server):
    with statecast.Client(server.address) as opened:
        yield opened


def answers(result):
    return [forecast.values.ravel().tolist() for forecast in result.forecasts]


def test_unary_rows_bring_time_and_what_is_known_ahead(client):
    """With `with_future` and without; a row without a time has none in the graph."""
    session, model = client.session("echo", next(_names)), client.model("echo")
    rows = statecast.with_future(model, ROWS[:2], AHEAD[:2])
    first = session.forecast(rows, TIMES[:2], reply="each")
    assert answers(first) == [told(0, time=HOUR), told(1, time=HOUR + 1)]
    later = session.forecast(ROWS[2], TIMES[2:3])
    assert answers(later) == [told(2, time=HOUR + 2, wide=False)]
    without = client.session("echo", next(_names)).forecast(WIDE[0])
    assert answers(without) == [told(0, timeless=1)]


def test_a_gap_has_no_time_in_the_graph(client):
    """Missing steps that the server puts in are missing throughout."""
    session = client.session("echo", next(_names))
    result = session.forecast(WIDE[[0, 3]], TIMES[[0, 3]])
    assert result.num_missing_steps == 2
    assert answers(result) == [told(3, time=HOUR + 3, stepped=4, timeless=2)]


def _message(frame_id, values, times=None, *, session=None, **fields):
    frame = pb.Frame(
        id=frame_id,
        handles=columns.pack([1] if fields else [1] * len(values), columns.HANDLE),
        values=columns.pack(values, columns.VALUE),
        reply=pb.REPLY_EACH if fields else pb.REPLY_LAST,
        **fields,
    )
    if times is not None:
        frame.times_us = columns.pack(times.astype("datetime64[us]").astype(np.int64), columns.TIME_US)
    named = [pb.SessionHandle(handle=1, model="echo", session_id=session)] if session else []
    return pb.StreamForecastsRequest(sessions=named, frame=frame)


def _stream(server, messages):
    with grpc.insecure_channel(server.address) as channel:
        responses = list(forecast_pb2_grpc.ForecastServiceStub(channel).StreamForecasts(iter(messages)))
    assert not any(each.HasField("frame_error") for each in responses), responses
    return [np.frombuffer(each.forecasts, columns.FORECAST).reshape(-1, 9).tolist() for each in responses]


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("timed", [True, False])
def test_single_row_messages(server, wide, timed):
    """The first is read by protobuf, those after it by their shape: they say the same."""
    rows = WIDE if wide else ROWS
    messages = [
        _message(at, rows[at : at + 1], TIMES[at : at + 1] if timed else None) for at in range(len(rows))
    ]
    messages[0].sessions.add(handle=1, model="echo", session_id=next(_names))
    expected = [
        [told(at, wide=wide, time=HOUR + at if timed else None, timeless=0 if timed else at + 1)]
        for at in range(len(rows))
    ]
    assert _stream(server, messages) == expected


@pytest.mark.parametrize("shop", [2.0, -1.0, 0.5])
def test_a_single_row_of_no_category_is_refused_as_in_a_frame(server, shop):
    """Before the stream knows the shape of its messages and once it does; later rows find nothing of it."""
    bad = [*ROWS[1, :2], shop]
    messages = [_message(at, [row]) for at, row in enumerate([bad, ROWS[0], bad, ROWS[1]])]
    messages[0].sessions.add(handle=1, model="echo", session_id=next(_names))
    with grpc.insecure_channel(server.address) as channel:
        responses = list(forecast_pb2_grpc.ForecastServiceStub(channel).StreamForecasts(iter(messages)))
    errors = [[(error.code, error.message) for error in each.entry_errors] for each in responses]
    assert errors[1] == errors[3] == []
    assert errors[0] == errors[2]
    ((code, message),) = errors[0]
    assert code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "feature 'shop'" in message
    assert "the index of a category, 0 to 1" in message
    positions = [np.frombuffer(each.positions, columns.POSITION).tolist() for each in responses]
    assert positions == [[-1], [1], [-1], [2]]


def test_frames_of_both_widths(server):
    """All rows of a frame are as wide; frames of one session may differ."""
    lengths = columns.pack([3], columns.LENGTH)
    messages = [
        _message(1, WIDE[:3], TIMES[:3], session=next(_names), lengths=lengths),
        _message(2, ROWS[3:], TIMES[3:], lengths=lengths),
    ]
    assert _stream(server, messages) == [
        [told(at, time=HOUR + at) for at in range(3)],
        [told(at, time=HOUR + at, wide=False) for at in range(3, 6)],
    ]


def test_the_client_streams_whole_rows(client):
    """Frames of many sessions, and single calls that are joined to frames."""
    names = [next(_names), next(_names)]
    with client.stream("echo") as stream:
        result = stream.submit(names, WIDE[:2], TIMES[:2]).result()
        first, second = (result.entry(at).forecast.values.ravel().tolist() for at in range(2))
    assert first == told(0, time=HOUR)
    assert second == told(1, time=HOUR + 1, stepped=1)


def test_the_open_inference_protocol(server):
    """Input x in both widths; times by their own input, none without it."""
    name = next(_names)
    with grpc.insecure_channel(server.address) as channel:
        stub = InferenceStub(channel)
        whole = infer_request(WIDE[:2], name, model="echo", start=True)
        tensor(whole, "times_us", TIMES[None, :2].astype("datetime64[us]").astype(np.int64), "INT64")
        narrow = infer_request(ROWS[2:3], name, model="echo")
        found = [
            np.frombuffer(stub.ModelInfer(request).raw_output_contents[0], "<f4").tolist()
            for request in (whole, narrow)
        ]
        metadata = stub.ModelMetadata(type(_metadata_request())(name="echo"))
    assert found == [told(1, time=HOUR + 1), told(2, wide=False, timeless=1)]
    assert list(metadata.inputs[0].shape) == [-1, -1, 6]


def _metadata_request():
    from service.rpc.inference import grpc_service_pb2

    return grpc_service_pb2.ModelMetadataRequest()


def test_carried_sessions(client):
    """A state that its caller keeps has seen the same."""
    name = next(_names)
    carried = client.carried("echo", name)
    carried.observe(WIDE[:2], TIMES[:2])
    result = client.carried("echo", name, carried.sealed).forecast(WIDE[2], TIMES[2:3])
    assert answers(result) == [told(2, time=HOUR + 2)]


def _load(server, version, policy):
    with grpc.insecure_channel(server.address) as channel:
        wanted = model_pb2.UpgradePolicy.Value(f"UPGRADE_POLICY_{policy}")
        request = model_pb2.LoadModelRequest(model="echo", version=version, policy=wanted)
        model_pb2_grpc.ModelServiceStub(channel).LoadModel(request)


def test_recovery_and_replay_feed_the_graph_the_same_rows(tmp_path):
    """After kill -9 from the journal; then another version from the recent rows; none that reads others."""
    repository, name = tmp_path / "repository", next(_names)
    write_echo(repository)
    flags = ("--data-dir", str(tmp_path / "data"), "--recent-rows", "10")
    killed = ServerProcess(repository, *flags)
    with statecast.Client(killed.address) as client:
        client.session("echo", name).observe(WIDE[[0, 2]], TIMES[[0, 2]])
    killed.process.kill()
    killed.wait()
    with ServerProcess(repository, *flags) as again, statecast.Client(again.address) as client:
        result = client.session("echo", name).forecast(WIDE[3], TIMES[3:4])
        assert answers(result) == [told(3, time=HOUR + 3, timeless=1)]
        write_echo(repository, version=2)
        _load(again, 2, "REPLAY")
        result = client.session("echo", name).forecast(WIDE[4], TIMES[4:5])
        assert result.model_version == 2
        assert answers(result) == [told(4, time=HOUR + 4, timeless=1)]
        write_echo(repository, version=3, reads_time=False)
        with pytest.raises(grpc.RpcError, match="its reads_time are False, those of version 2 are True"):
            _load(again, 3, "REPLAY")


def test_a_server_starts_with_a_version_that_reads_other_columns(tmp_path):
    """Sessions of the version before cannot go over, and are told so; new ones begin."""
    repository, name = tmp_path / "repository", next(_names)
    write_echo(repository)
    flags = ("--data-dir", str(tmp_path / "data"))
    killed = ServerProcess(repository, *flags)
    with statecast.Client(killed.address) as client:
        client.session("echo", name).observe(WIDE[:2], TIMES[:2])
    killed.process.kill()
    killed.wait()
    write_echo(repository, version=2, reads_time=False)
    with ServerProcess(repository, *flags) as again, statecast.Client(again.address) as client:
        with pytest.raises(statecast.SessionMismatch):
            client.session("echo", name).forecast(WIDE[2], TIMES[2:3])
        new = client.session("echo", next(_names)).forecast(WIDE[0], TIMES[:1])
        assert answers(new) == [[*WIDE[0], 0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (
            4,
            np.inf,
            r"feature 'promo', 2 steps ahead: expected a finite number, or NaN where missing, found inf",
        ),
        (2, 2.0, "feature 'shop': expected the index of a category, 0 to 1"),
    ],
)
def test_values_that_cannot_be_are_refused(client, column, value, message):
    """What is known ahead is checked as observations are, in unary requests and in frames."""
    rows = WIDE[:2].copy()
    rows[1, column] = value
    name = next(_names)
    with pytest.raises(statecast.InvalidRequest, match=message):
        client.session("echo", name).forecast(rows, TIMES[:2])
    with client.stream("echo") as stream:
        refused = stream.submit([name], rows[1:], TIMES[1:2]).result().entry(0)
    assert message.replace("of row 1", "of row 0") in str(refused)


@pytest.mark.parametrize("width", [2, 4, 7])
def test_other_widths_are_refused(server, width):
    """Neither the features nor a whole row."""
    expected = "expected 3, or 6 with what is known ahead (y, promo, shop)"
    with grpc.insecure_channel(server.address) as channel:
        stub = forecast_pb2_grpc.ForecastServiceStub(channel)
        request = pb.ForecastRequest(
            model="echo", session_id=next(_names), rows=[pb.Row(values=[0.0] * width)]
        )
        with pytest.raises(grpc.RpcError) as raised:
            stub.Forecast(request)
        assert f"rows[0].values: {expected}, found {width} values" in raised.value.details()
        (response,) = stub.StreamForecasts(iter([_message(1, np.zeros((1, width)), session=next(_names))]))
    assert "or 6 with what is known ahead" in response.frame_error.message
