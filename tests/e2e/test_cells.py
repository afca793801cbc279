"""Every cell, from a file of rows to the server's answers; the LSTM and the GRU do so in many other tests."""

import grpc
import numpy as np
import pytest

from models.artifact import unseal
from models.cells import CELLS
from statecast.v1 import forecast_pb2 as pb
from statecast.v1 import forecast_pb2_grpc
from tests.reference import assert_close, reference_forecasts
from tests.server_process import serving
from tests.unit.training.series_files import settings_for, wave, write_csv
from training.train import train

OTHERS = [cell for cell in CELLS if cell not in ("lstm", "gru")]


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A model of each cell, two residual layers, trained for an epoch on a short wave."""
    path = tmp_path_factory.mktemp("cells")
    data = write_csv(path / "wave.csv", num_rows=120)
    for cell in OTHERS:
        train(
            settings_for(
                data,
                output=path / "repository" / cell,
                cell=cell,
                num_layers=2,
                residual=True,
                look_ahead=int(CELLS[cell].looks_ahead),
                dropout=0.1,
                max_epochs=1,
                learning_rate=0.02,
            )
        )
    return path / "repository"


@pytest.fixture(scope="module")
def stub(repository):
    """A real server, as another process."""
    with serving(repository) as server, grpc.insecure_channel(server.address) as channel:
        yield forecast_pb2_grpc.ForecastServiceStub(channel)


@pytest.mark.parametrize("cell", OTHERS)
def test_a_cell_trains_exports_and_answers(cell, repository, stub):
    """Rows in uneven requests are answered with the forecasts of the file that training published."""
    content = (repository / cell / "1" / "model.onnx").read_bytes()
    _, manifest = unseal(content)
    assert manifest.cell == cell
    assert manifest.look_ahead == 2 * CELLS[cell].looks_ahead
    rows = wave(40, seed=9)[:, None]
    expected = reference_forecasts(content, manifest, rows)
    found = []
    for chunk in np.split(rows, [1, 2, 9, 30]):
        request = pb.ForecastRequest(
            model=cell, session_id="s", rows=[pb.Row(values=row) for row in chunk], reply=pb.REPLY_EACH
        )
        found += [list(forecast.values) for forecast in stub.Forecast(request).forecasts]
    assert_close(np.reshape(found, expected.shape), expected)
