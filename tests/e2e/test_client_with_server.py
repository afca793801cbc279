"""The client and the real server: what one sends the other understands."""

import numpy as np
import pytest

import statecast
from statecast import AsyncClient, Client, InvalidRequest, NotFound, PositionConflict

TIMES = np.datetime64("2024-05-01T00", "h") + np.arange(6)
ROWS = np.random.default_rng(0).normal(10, 3, (6, 2))


@pytest.fixture
def client(server):
    with Client(server.address) as opened:
        yield opened


def test_models_are_those_of_the_repository(client):
    """Names, features and whether each is required come from the manifest."""
    assert {model.name for model in client.models()} == {"two", "gru"}
    two = client.model("two")
    assert [(feature.name, feature.required) for feature in two.features] == [
        ("y", False),
        ("temperature", True),
    ]
    assert two.manifest["digest"] == two.digest


def test_a_session_a_stream_and_an_interrupted_session_agree(client, server):
    """One chunk, a stream of single rows, and rows split over two clients give the same forecasts."""
    whole = client.session("two", "whole").forecast(ROWS, TIMES, reply="each")
    assert [forecast.position for forecast in whole.forecasts] == [1, 2, 3, 4, 5, 6]
    with client.stream("two") as stream:
        frames = [stream.submit(["stepwise"], row, [time]) for row, time in zip(ROWS, TIMES, strict=True)]
        stepwise = [frame.result().entry(0).forecast for frame in frames]
    client.session("two", "split").observe(ROWS[:3], TIMES[:3])
    with Client(server.address) as other:
        split = other.session("two", "split").forecast(ROWS[3:], TIMES[3:], reply="each")
    for one, another in zip(whole.forecasts, stepwise, strict=True):
        np.testing.assert_allclose(one.values, another.values, rtol=1e-5)
    for one, another in zip(whole.forecasts[3:], split.forecasts, strict=True):
        assert one.position == another.position
        np.testing.assert_allclose(one.values, another.values, rtol=1e-5)


def test_many_sessions_in_one_frame(client):
    """Entries of several rows, with a forecast after each, in the order they were sent."""
    with client.stream("gru") as stream:
        results = stream.forecast({"x": [1, 2, 3], "y": 4}, reply="each", horizon=2)
        assert [forecast.position for forecast in results["x"].forecasts] == [1, 2, 3]
        assert results["y"].forecast.values.shape == (2, 3)
        observed = stream.forecast({"x": 5}, reply="none")["x"]
        assert (observed.position, observed.forecasts) == (4, ())


def test_refusals_arrive_as_errors(client):
    """The server's statuses, details and trailers become the client's classes and fields."""
    session = client.session("two", "refused")
    with pytest.raises(InvalidRequest, match="temperature"):
        session.forecast([1, np.nan])
    with pytest.raises(NotFound) as missing:
        client.model("three")
    assert missing.value.field == "model"
    with pytest.raises(InvalidRequest) as too_long:
        client.session("two", "x" * 300).forecast([1, 2])
    assert too_long.value.field == "session_id"
    with client.stream("two") as stream:
        results = stream.forecast({"refused": [1, np.nan], "fine": [1, 2]})
        assert isinstance(results["refused"], InvalidRequest)
        assert results["fine"].position == 1
        with pytest.raises(InvalidRequest, match="session_id"):
            stream.forecast({"x" * 300: [1, 2]})
        assert stream.forecast({"fine": [1, 2]})["fine"].position == 2


def test_a_position_beyond_the_session_is_a_conflict(client):
    """The committed position comes back with it, on a stream and in a call."""
    with client.stream("gru") as stream:
        stream.open(["ahead"], positions=[5])
        refused = stream.forecast({"ahead": 1})["ahead"]
        assert isinstance(refused, PositionConflict)
        assert refused.committed_position == 0
        assert stream.refresh(["ahead"]) == [0]
        assert stream.forecast({"ahead": 1})["ahead"].position == 1
    session = client.session("gru", "ahead")
    session.observe(2)
    client.session("gru", "ahead").delete()
    with pytest.raises(PositionConflict) as caught:
        session.observe(3)
    assert caught.value.committed_position == 0


async def test_the_awaiting_client_speaks_the_same(server):
    """Calls, frames and refusals, awaited."""
    async with AsyncClient(server.address) as client:
        session = client.session("gru", "awaited")
        assert (await session.forecast([1, 2])).position == 2
        async with client.stream("gru") as stream:
            pending = [await stream.submit(["awaited"], [value]) for value in (3, 4)]
            assert [(await frame).positions.tolist() for frame in pending] == [[3], [4]]
            with pytest.raises(InvalidRequest, match="session_id"):
                await stream.forecast({"x" * 300: 1})
        assert await session.refresh() == 4
        with pytest.raises(statecast.NotFound):
            await client.model("three")
