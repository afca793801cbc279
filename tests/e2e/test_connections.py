"""The connection died is not the session is over: forecasts go on as if nothing had happened."""

import asyncio
import signal

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import statecast
from models.artifact import unseal
from statecast.v1 import forecast_pb2_grpc
from tests.cuttable_proxy import CuttableProxy
from tests.frames import OpenRequests, frame, opening
from tests.reference import assert_close, reference_forecasts
from tests.server_process import serving


@pytest.fixture
def proxy(server):
    """A proxy before the server."""
    with CuttableProxy(server.address) as made:
        yield made


@pytest.fixture(scope="module")
def expected(repository):
    """Rows of `gru`, and the forecasts of one uninterrupted run, made without any server."""
    content = (repository / "gru" / "1" / "model.onnx").read_bytes()
    random = np.random.default_rng(1)
    rows = 50 + random.standard_normal((40, 1)).cumsum(axis=0)
    rows[random.random(rows.shape) < 0.1] = np.nan
    return rows, reference_forecasts(content, unseal(content)[1], rows)


def _wait_for_position(server, session_id, position):
    """Ask the server itself until the session has consumed so many rows."""
    with statecast.Client(server.address) as direct:
        session = direct.session("gru", session_id)
        while session.refresh() < position:
            continue


def test_a_stream_cut_between_rows_goes_on(server, proxy, expected):
    """Another connection carries the session on; all forecasts equal the uninterrupted run's."""
    rows, forecasts = expected
    found = []
    with statecast.Client(proxy.address) as client, client.stream("gru") as stream:
        for index, row in enumerate(rows):
            if index in (10, 25):
                proxy.cut()
            found.append(stream.forecast({"cut-between": row})["cut-between"].forecast.values)
    assert proxy.num_cut >= 2
    assert_close(found, forecasts)


def test_replies_lost_after_the_commit_double_no_row(server, proxy, expected):
    """The rows were applied, the replies never came: the resend is skipped and answered."""
    rows, forecasts = expected
    with statecast.Client(proxy.address) as client, client.stream("gru") as stream:
        first = stream.forecast({"lost": rows[:10]})["lost"]
        proxy.hold_replies()
        pending = stream.submit(["lost"], rows[10:20], lengths=[10])
        _wait_for_position(server, "lost", 20)
        proxy.cut()
        (second,) = pending.result()
        third = stream.forecast({"lost": rows[20:]})["lost"]
    assert second.num_skipped == 10
    assert [result.position for result in (first, second, third)] == [10, 20, 40]
    assert_close([result.forecast.values for result in (first, second, third)], forecasts[[9, 19, 39]])


def test_another_client_takes_a_session_over(server, expected):
    """Unary, then a stream of another client: the session is the series, not the connection."""
    rows, forecasts = expected
    with statecast.Client(server.address) as client:
        client.session("gru", "taken-over").observe(rows[:30])
    with statecast.Client(server.address) as client, client.stream("gru") as stream:
        result = stream.forecast({"taken-over": rows[30:]}, reply="each")["taken-over"]
    assert_close([forecast.values for forecast in result.forecasts], forecasts[30:])


async def test_the_asynchronous_client_survives_a_cut(server, proxy, expected):
    """The same promise with await."""
    rows, forecasts = expected
    async with statecast.AsyncClient(proxy.address) as client:
        session = client.session("gru", "async")
        found = []
        for index, row in enumerate(rows):
            if index == 20:
                await asyncio.to_thread(proxy.cut)
            found.append((await session.forecast(row)).forecast.values)
    assert_close(found, forecasts)


def test_sigterm_answers_what_was_sent_and_exits_cleanly(repository):
    """Frames read before the signal are answered, the stream ends with UNAVAILABLE, the exit is 0."""
    with serving(repository) as server, grpc.insecure_channel(server.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
        requests = OpenRequests()
        responses = forecast_pb2_grpc.ForecastServiceStub(channel).StreamForecasts(requests)
        requests.send(opening("gru", "drained"))
        for number in range(3):
            requests.send(frame([0], [float(number)], number=number))
        _wait_for_position(server, "drained", 3)
        server.send(signal.SIGTERM)
        server.wait_for("draining")
        assert [next(responses).frame_id for _ in range(3)] == [0, 1, 2]
        with pytest.raises(grpc.RpcError, match="draining") as caught:
            next(responses)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        requests.close()
        assert server.wait() == 0
