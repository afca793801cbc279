"""A real server over two small models, shared by the tests of a file."""

import grpc
import pytest

from tests.model_files import write_model
from tests.server_process import serving


@pytest.fixture(scope="session")
def repository(tmp_path_factory):
    """`two`: an LSTM of two features, the second required. `gru`: a GRU of one. Both hourly."""
    path = tmp_path_factory.mktemp("repository")
    write_model(path, "two", "lstm", required=("temperature",))
    write_model(path, "gru", "gru", features=("y",))
    return path


@pytest.fixture(scope="module")
def server(repository):
    """A server with tight bounds, so that they can be met."""
    flags = ("--max-rows-per-chunk", "50", "--max-message-bytes", "65536")
    with serving(repository, *flags) as running:
        yield running


@pytest.fixture(scope="module")
def channel(server):
    """A channel to it."""
    with grpc.insecure_channel(server.address) as opened:
        yield opened
