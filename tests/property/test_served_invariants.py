"""Chunking, batching and parity, through a real server, against ONNX Runtime alone."""

import itertools

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import forecast_pb2_grpc
from tests.frames import forecasts_of, frame, opening
from tests.model_files import write_model
from tests.reference import assert_close, reference_forecasts
from tests.server_process import serving

_names = (f"session-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """An LSTM and a GRU of two layers and two features."""
    path = tmp_path_factory.mktemp("repository")
    for cell in ("lstm", "gru"):
        write_model(path, cell, cell, num_layers=2)
    return path


@pytest.fixture(scope="module")
def stub(repository):
    """A real server, as another process."""
    with serving(repository) as server, grpc.insecure_channel(server.address) as channel:
        yield forecast_pb2_grpc.ForecastServiceStub(channel)


@pytest.fixture(params=["lstm", "gru"])
def model(request, repository):
    """Name, file and manifest of each model."""
    from models.artifact import unseal

    content = (repository / request.param / "1" / "model.onnx").read_bytes()
    return request.param, content, unseal(content)[1]


@st.composite
def series(draw, max_rows=24):
    """A series at some level and scale, with missing values, sometimes from the first row on."""
    num_rows = draw(st.integers(1, max_rows))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    level, scale = draw(st.sampled_from([(0, 1), (1e3, 5), (-7, 1e-3), (1e7, 1e4)]))
    rows = level + scale * random.standard_normal((num_rows, 2)).cumsum(axis=0)
    rows[random.random(rows.shape) < draw(st.sampled_from([0.0, 0.3, 0.9]))] = np.nan
    return rows


@st.composite
def chunked(draw):
    """A series and a way to cut it: rows, and the length of each chunk."""
    rows = draw(series())
    cuts = draw(st.lists(st.integers(1, len(rows)), max_size=6))
    edges = [0, *sorted(set(cuts) | {len(rows)})]
    return rows, [after - before for before, after in itertools.pairwise(edges)]


_live = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_live
@given(rows=series())
def test_a_unary_reply_is_what_onnx_runtime_says(stub, model, rows):
    """Parity: the forecast after each row, through gRPC, equals the bare file's."""
    name, content, manifest = model
    request = pb.ForecastRequest(
        model=name,
        session_id=next(_names),
        rows=[pb.Row(values=row) for row in rows],
        reply=pb.REPLY_EACH,
    )
    response = stub.Forecast(request)
    found = np.array([list(forecast.values) for forecast in response.forecasts])
    expected = reference_forecasts(content, manifest, rows)
    assert_close(found.reshape(expected.shape), expected)
    assert [forecast.position for forecast in response.forecasts] == list(range(1, len(rows) + 1))


@_live
@given(many=st.lists(chunked(), min_size=1, max_size=5), order=st.randoms(use_true_random=False))
def test_frames_answer_each_session_as_if_it_were_alone(stub, model, many, order):
    """Chunking and batching: sessions cut and interleaved at random, in frames that mix lengths."""
    name, content, manifest = model
    queues = {handle: list(lengths) for handle, (_, lengths) in enumerate(many)}
    sent = dict.fromkeys(queues, 0)
    requests, contents = [opening(name, *(next(_names) for _ in many))], []
    while any(queues.values()):
        waiting = [handle for handle, lengths in queues.items() for _ in lengths[:2]]
        handles = order.sample(waiting, order.randint(1, len(waiting)))
        lengths, values, positions = [], [], []
        for handle in handles:
            length = queues[handle].pop(0)
            positions.append(sent[handle])
            values.append(many[handle][0][sent[handle] : sent[handle] + length])
            sent[handle] += length
            lengths.append(length)
        rows = np.concatenate(values)
        requests.append(
            frame(
                handles,
                rows,
                lengths=lengths,
                positions=positions,
                number=len(contents),
                reply=order.choice([pb.REPLY_NONE, pb.REPLY_LAST, pb.REPLY_EACH]),
            )
        )
        contents.append((handles, lengths, positions))
    responses = list(stub.StreamForecasts(iter(requests)))

    expected = {handle: reference_forecasts(content, manifest, rows) for handle, (rows, _) in enumerate(many)}
    compared = 0
    assert [response.frame_id for response in responses] == list(range(len(contents)))
    for request, response, (handles, lengths, positions) in zip(
        requests[1:], responses, contents, strict=True
    ):
        assert not response.entry_errors
        after = np.add(positions, lengths)
        assert list(np.frombuffer(response.positions, "<i8")) == list(after)
        for handle, first, last, forecasts in zip(
            handles, positions, after, forecasts_of(response), strict=True
        ):
            start = {pb.REPLY_NONE: last, pb.REPLY_LAST: last - 1, pb.REPLY_EACH: first}[request.frame.reply]
            assert len(forecasts) == last - start
            if len(forecasts):
                assert_close(forecasts, expected[handle][start:last])
                compared += 1
    assert compared or all(request.frame.reply == pb.REPLY_NONE for request in requests[1:])


@_live
@given(rows=series(max_rows=12), data=st.data())
def test_rows_sent_again_change_nothing(stub, model, rows, data):
    """A chunk that starts anywhere below the committed position leaves the session as it stands."""
    name, content, manifest = model
    session_id, committed = next(_names), 0
    while committed < len(rows):
        start = data.draw(st.integers(max(committed - 3, 0), committed), label="start")
        end = data.draw(st.integers(start + 1, min(start + 6, len(rows))), label="end")
        request = pb.ForecastRequest(
            model=name,
            session_id=session_id,
            rows=[pb.Row(values=row) for row in rows[start:end]],
            position=start,
        )
        response = stub.Forecast(request)
        assert response.num_skipped == min(committed, end) - start
        committed = max(committed, end)
        assert response.position == committed
    (forecast,) = response.forecasts
    expected = reference_forecasts(content, manifest, rows)[-1]
    assert_close(np.reshape(forecast.values, expected.shape), expected)
