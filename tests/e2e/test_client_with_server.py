"""The client and the real server: what one sends the other understands."""

import asyncio

import numpy as np
import pytest

import statecast
from statecast import AsyncClient, Client, InvalidRequest, NotFound, PositionConflict
from tests.cuttable_proxy import CuttableProxy
from tests.reference import assert_close

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


NUM_SERIES = 20
MANY_ROWS = np.random.default_rng(1).normal(10, 3, (NUM_SERIES, 30, 2))
MANY_TIMES = np.datetime64("2024-05-01T00", "h") + np.arange(MANY_ROWS.shape[1])


@pytest.fixture(scope="module")
def one_by_one(server):
    """(series, rows, K, Q): the forecast after each row, each by a call of its own."""
    with Client(server.address) as client:
        model = client.model("two")
        sessions = [client.session(model, f"alone-{series}") for series in range(NUM_SERIES)]
        return np.array([
            [session.forecast(row, time).forecast.values for row, time in zip(rows, MANY_TIMES, strict=True)]
            for session, rows in zip(sessions, MANY_ROWS, strict=True)
        ])  # fmt: skip


def _each_row(sessions):
    """Calls in the order in which rows come in: all series' first, then all series' second."""
    return [
        session.forecast(MANY_ROWS[series, number], time)
        for number, time in enumerate(MANY_TIMES)
        for series, session in enumerate(sessions)
    ]


def _in_series(results):
    values = np.array([result.forecast.values for result in results])
    return values.reshape(len(MANY_TIMES), NUM_SERIES, *values.shape[1:]).swapaxes(0, 1)


def test_single_rows_share_frames_and_forecast_as_alone(client, one_by_one):
    """Six hundred calls are a few frames, and each is answered as if it had been the only one."""
    with client.stream("two") as stream:
        stream.open([f"shared-{series}" for series in range(NUM_SERIES)])
        sessions = [stream.session(f"shared-{series}") for series in range(NUM_SERIES)]
        answers = _each_row(sessions)
        results = [answer.result() for answer in answers]
        assert stream._core._num_frames <= len(answers) // 5
    assert_close(_in_series(results), one_by_one)
    assert [result.position for result in results] == np.repeat(np.arange(1, 31), NUM_SERIES).tolist()


async def test_single_rows_awaited_share_a_frame(server, one_by_one):
    """Six hundred calls made in one turn of the event loop are one frame."""
    async with AsyncClient(server.address) as client, client.stream("two") as stream:
        sessions = [stream.session(f"awaited-{series}") for series in range(NUM_SERIES)]
        results = await asyncio.gather(*_each_row(sessions))
        assert stream._core._num_frames == 1
    assert_close(_in_series(results), one_by_one)


async def test_single_rows_survive_a_cut_connection(server, one_by_one):
    """Replies are held back and then lost with rows in flight: the forecasts go on as if nothing had been."""
    with CuttableProxy(server.address) as proxy:
        async with AsyncClient(proxy.address) as client, client.stream("two") as stream:
            sessions = [stream.session(f"cut-{series}") for series in range(NUM_SERIES)]
            for number, time in enumerate(MANY_TIMES):
                if number == 10:
                    proxy.hold_replies()
                answers = [
                    session.forecast(MANY_ROWS[series, number], time)
                    for series, session in enumerate(sessions)
                ]
                if number == 10:
                    await asyncio.sleep(0)  # the frame is sent
                    proxy.cut()
                results = await asyncio.gather(*answers)
        assert proxy.num_cut >= 1
    assert [result.position for result in results] == [30] * NUM_SERIES
    assert_close(np.array([result.forecast.values for result in results]), one_by_one[:, -1])


def test_a_refused_single_row_fails_its_own_call_alone(client):
    """A missing value where the model requires one, and an id too long: their neighbours are applied."""
    with client.stream("two") as stream:
        session, long = stream.session("refused-single"), stream.session("x" * 300)
        answers = [session.forecast([value, 1]) for value in (1, 2)]
        wrong = [session.observe([3, np.nan]), long.observe([1, 1]), session.observe([4, np.inf])]
        answers += [session.forecast([value, 1]) for value in (5, 6)]
        assert [answer.result().position for answer in answers] == [1, 2, 3, 4]
        for answer, words in zip(wrong, ["temperature", "300 bytes", "finite"], strict=True):
            with pytest.raises(InvalidRequest, match=words):
                answer.result()
        assert stream.position("refused-single") == 4
