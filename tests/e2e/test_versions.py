"""Which version answered: each reply of a stream that stays open while another version is served."""

import grpc
import numpy as np
import pytest

from statecast.v1 import forecast_pb2_grpc, model_pb2, model_pb2_grpc
from tests.frames import OpenRequests, frame, opening
from tests.model_files import write_model
from tests.server_process import serving


@pytest.fixture
def repository(tmp_path):
    """With version 1 of a model."""
    write_model(tmp_path / "repository", "gru", "gru", features=("y",))
    return tmp_path / "repository"


@pytest.fixture
def server(repository):
    with serving(repository, "--watch-s", "0", "--store", "memory:") as running:
        yield running


@pytest.fixture
def exchange(server):
    """Sends a request on one open stream and waits for the answer."""
    with grpc.insecure_channel(server.address) as channel:
        requests = OpenRequests()
        responses = forecast_pb2_grpc.ForecastServiceStub(channel).StreamForecasts(requests)

        def one(request):
            requests.send(request)
            return next(responses)

        one.channel, one.requests = channel, requests
        yield one
        requests.close()


def serve_version_2(exchange, repository, policy):
    write_model(repository, "gru", "gru", 2, seed=1, features=("y",))
    wanted = model_pb2.UpgradePolicy.Value(f"UPGRADE_POLICY_{policy.upper()}")
    stub = model_pb2_grpc.ModelServiceStub(exchange.channel)
    stub.LoadModel(model_pb2.LoadModelRequest(model="gru", version=2, policy=wanted))


@pytest.mark.parametrize(("policy", "expected"), [("pin", 1), ("carry", 2)])
def test_a_stream_says_which_version_answered(policy, expected, exchange, repository):
    """A session that stays names its own version, a frame of several the newest."""
    exchange.requests.send(opening("gru", "old", "older", "new"))
    assert exchange(frame([0, 1], [1.0, 2.0])).model_version == 1
    serve_version_2(exchange, repository, policy)
    # The first row of a shape is read as any message, the second by hand.
    for number in (1, 2):
        assert exchange(frame([0], [3.0], number=number)).model_version == expected
    assert exchange(frame([0, 1], [4.0, 5.0])).model_version == expected
    refused = exchange(frame([0, 1], [np.inf, 6.0]))
    assert len(refused.entry_errors) == 1
    assert refused.model_version == expected
    assert exchange(frame([2], [7.0])).model_version == 2
    assert exchange(frame([0, 2], [8.0, 9.0])).model_version == 2
