"""Anomaly scores through a real server: what torch computes, in every reply, and only when asked for."""

import numpy as np
import pytest
import torch

from models.state import initial_state
from statecast import Client, InvalidRequest
from tests.http_port import FLAGS, samples
from tests.model_files import write_model
from tests.server_process import serving
from tests.task_models import write_task_model

ROWS = 50 + np.random.default_rng(0).normal(size=(14, 2)).cumsum(axis=0)
ROWS[6, 0] = np.nan


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A client of a server with a model that scores rows and one that does not, and the scores by torch."""
    repository = tmp_path_factory.mktemp("repository")
    forecaster = write_task_model(repository, "watched")
    write_model(repository, "plain")
    with torch.inference_mode():
        x = torch.from_numpy(ROWS[None])
        scores = forecaster.scored(x, initial_state(forecaster.state_init(), 1))[1][0].numpy()
    with serving(repository, *FLAGS) as server, Client(server.address) as client:
        yield client, scores, server


def _same(found, expected):
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("reply", ["each", "last", "none"])
def test_scores_come_with_every_reply(served, reply):
    """One for each applied row, NaN where there was no forecast or no value, whatever comes along."""
    client, expected, _ = served
    result = client.session("watched", f"whole {reply}").forecast(ROWS, reply=reply, score_anomalies=True)
    _same(result.anomalies, expected)
    assert len(result.forecasts) == {"each": 14, "last": 1, "none": 0}[reply]


def test_the_forecasts_are_those_without_scores(served):
    """Asking for scores changes nothing else, row by row or at once."""
    client, expected, _ = served
    plain, scored = client.session("watched", "plain"), client.session("watched", "scored")
    for row in range(len(ROWS)):
        without = plain.forecast(ROWS[row])
        result = scored.forecast(ROWS[row], score_anomalies=True)
        np.testing.assert_allclose(result.forecast.values, without.forecast.values, rtol=1e-5)
        _same(result.anomalies, expected[row : row + 1])
        assert not len(without.anomalies)


def test_frames_carry_scores_in_columns(served):
    """Entries of several rows, beside an entry that is refused; rows that are skipped have no score."""
    client, expected, _ = served
    with client.stream("watched") as stream:
        sessions, lengths = ["a", "b", "a"], [5, 14, 9]
        values = np.concatenate([ROWS[:5], ROWS, ROWS[5:]])
        frame = stream.send(sessions, values, lengths=lengths, reply="none", score_anomalies=True)
        _same(frame.entry(0).anomalies, expected[:5])
        _same(frame.entry(1).anomalies, expected)
        _same(frame.entry(2).anomalies, expected[5:])
        again = stream.send(["c"], ROWS[:1], reply="last")
        assert not len(again.entry(0).anomalies)


def test_missing_steps_have_no_score_of_their_own(served):
    """A gap in time steps the model, but only rows that were sent are told of."""
    client, _, _ = served
    times = np.array(["2024-01-01T00", "2024-01-01T01", "2024-01-01T05"], "datetime64[h]")
    result = client.session("watched", "gap").forecast(ROWS[:3], times, score_anomalies=True)
    assert result.num_missing_steps == 3
    assert result.anomalies.shape == (3, 2)


def test_a_model_without_scores_refuses(served):
    """The field is named, and nothing is applied, in a call and on a stream."""
    client, _, _ = served
    assert client.model("watched").scores_anomalies
    assert client.model("watched").calibrated
    assert not client.model("plain").scores_anomalies
    with pytest.raises(InvalidRequest, match="score_anomalies") as refused:
        client.session("plain", "a").forecast(ROWS[:1], score_anomalies=True)
    assert refused.value.field == "score_anomalies"
    with client.stream("plain") as stream, pytest.raises(InvalidRequest, match="score_anomalies"):
        stream.send(["a"], ROWS[:1], score_anomalies=True)


def _counted(server):
    """Rows that were scored, and those of them that lay within."""
    found = {
        sample.name: sample.value for sample in samples(server) if sample.labels.get("model") == "watched"
    }
    return np.array([found[f"statecast_rows_{name}_total"] for name in ("scored", "covered")])


def test_coverage_of_the_scored_rows_is_counted(served):
    """Those whose quantile position lies within the outermost levels; nothing of calls without scores."""
    client, expected, server = served
    before = _counted(server)
    session = client.session("watched", "covered")
    session.forecast(ROWS[:1])
    session.forecast(ROWS[1:9], score_anomalies=True)
    session.forecast(ROWS[9:], score_anomalies=True)
    positions = expected[1:, 0]
    levels = client.model("watched").quantile_levels
    within = (positions >= min(levels)) & (positions <= max(levels))
    assert 0 < within.sum() < np.isfinite(positions).sum()
    assert (_counted(server) - before).tolist() == [np.isfinite(positions).sum(), within.sum()]
