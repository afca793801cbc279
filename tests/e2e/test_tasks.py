"""Every task and decoder through a real server: what it replies is what torch computes."""

import numpy as np
import pytest
import torch

from models.state import initial_state
from statecast import Client, InvalidRequest
from tests.server_process import serving
from tests.task_models import CASES, LABELS, write_task_model

RANDOM = np.random.default_rng(0)
COUNTS = RANDOM.poisson(4.0, (12, 1)).astype(float)
WALK = 50 + RANDOM.normal(size=(12, 1)).cumsum(axis=0)
SYMBOLS = RANDOM.integers(0, 3, (12, 1)).astype(float)
ROWS = {
    "negative-binomial": COUNTS,
    "next-symbol": SYMBOLS,
    "binary-decoded": np.hstack([WALK, WALK[::-1]]),
    "gaussian-paths": np.hstack([WALK, SYMBOLS]),
    "watched": np.hstack([WALK, WALK[::-1]]),
    "quantile-median": WALK,
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A client of a server with all of them, and the forecasters by name."""
    repository = tmp_path_factory.mktemp("repository")
    forecasters = {case: write_task_model(repository, case) for case in CASES}
    with serving(repository) as server, Client(server.address) as client:
        yield client, forecasters


def _by_torch(forecaster, rows):
    with torch.inference_mode():
        x = torch.from_numpy(rows[None])
        return forecaster(x, initial_state(forecaster.state_init(), 1))[0][0].numpy()


@pytest.mark.parametrize("case", CASES)
def test_replies_are_what_torch_computes(case, served):
    """A chunk in a call, and single rows in frames of a stream, with each other's sessions beside them."""
    client, forecasters = served
    rows = ROWS[case].copy()
    rows[5] = np.nan
    expected = _by_torch(forecasters[case], rows)
    whole = client.session(case, "whole").forecast(rows, reply="each").forecasts
    np.testing.assert_allclose([each.values for each in whole], expected, rtol=2e-4, atol=2e-4)
    with client.stream(case) as stream:
        frames = [stream.forecast({"single": row, "other": rows[0]}) for row in rows[:, None]]
    found = [frame["single"].forecast.values for frame in frames]
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)
    # Nothing to apply: the read-out of the state.
    assert client.session(case, "whole").forecast(rows[0]).position == len(rows) + 1


def test_a_classifier_replies_with_probabilities_of_its_labels(served):
    """In calls, on streams, and whichever way the model is asked about."""
    client, _ = served
    model = client.model("next-symbol")
    assert (model.task, model.labels, model.quantile_levels) == ("next-symbol", LABELS, ())
    assert model.features[0].categories == LABELS
    forecast = client.session(model, "written out").forecast(list("abcab")).forecast
    assert forecast.probabilities.shape == (1, 3)
    assert forecast.probabilities.sum() == pytest.approx(1)
    assert forecast.label == LABELS[int(forecast.values[0].argmax())]
    assert forecast.probability("b")[0] == forecast.values[0, 1]
    with client.stream("next-symbol") as stream:
        streamed = stream.forecast({"streamed": list("abcab")})["streamed"].forecast
    assert streamed.labels == LABELS
    np.testing.assert_allclose(streamed.values, forecast.values, rtol=1e-5)
    binary = client.session("binary-decoded", "labels").forecast([1.0, 2.0]).forecast
    assert binary.labels == ("no", "yes")
    assert len(binary.likeliest) == 3


def test_what_is_no_category_is_refused_and_its_neighbours_are_not(served):
    """By the server where a number is sent, in a call and in a frame; nothing of it is applied."""
    client, _ = served
    session = client.session("next-symbol", "refused")
    with pytest.raises(InvalidRequest, match=r"index of a category, 0 to 2, .*found 3"):
        session.forecast([0, 3])
    with client.stream("next-symbol") as stream:
        results = stream.forecast({"refused": 0.5, "fine": 2})
    assert isinstance(results["refused"], InvalidRequest)
    assert results["fine"].position == 1
    assert session.refresh() == 0
