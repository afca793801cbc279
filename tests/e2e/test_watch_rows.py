"""Watching the rows of one session on a real server, with both clients and over every way rows come by."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import grpc
import numpy as np
import pytest

import statecast
from service.rpc.inference import grpc_service_pb2 as oip
from statecast.v1 import model_pb2, model_pb2_grpc
from tests.both_clients import Awaiting, Blocking, entered, now
from tests.model_files import write_model
from tests.oip import infer_request
from tests.server_process import serving

ARRIVAL_S = 30


@pytest.fixture(params=[Blocking, Awaiting], ids=["blocking", "awaiting"])
def kind(request):
    return request.param


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def server(request, repository, tmp_path_factory):
    flags = ["--store", "memory:"]
    if request.param == "sqlite":
        flags = ["--data-dir", str(tmp_path_factory.mktemp("data"))]
    with serving(repository, *flags) as running:
        yield running


@asynccontextmanager
async def watching(kind, server, name, pace=50):
    """A client, and a watch of a session by it."""
    async with (
        entered(kind.client(server.address)) as client,
        entered(await now(client.sessions("gru").watch_rows(name, pace))) as watch,
    ):
        yield client, watch


async def _next(watch):
    """The next row or event, None where there is no more."""
    if hasattr(watch, "__anext__"):
        return await asyncio.wait_for(anext(watch, None), ARRIVAL_S)
    return await asyncio.wait_for(asyncio.to_thread(next, watch, None), ARRIVAL_S)


async def test_rows_are_told_whatever_call_they_come_by(kind, server):
    """Unary calls, streams and the Open Inference Protocol; the first row opens the session."""
    name = f"every-{kind.__name__}"
    async with watching(kind, server, name) as (client, watch):
        result = await now(client.session("gru", name).forecast(1.5, datetime(2024, 1, 1, tzinfo=UTC)))
        row = await _next(watch)
        assert (row.position, row.values.tolist(), row.num_skipped) == (1, [1.5], 0)
        assert row.time == datetime(2024, 1, 1, tzinfo=UTC)
        assert row.forecast.quantile_levels == (0.1, 0.5, 0.9)
        np.testing.assert_array_equal(row.forecast.values, result.forecast.values)
        async with entered(client.stream("gru")) as stream:
            await now(stream.forecast({name: [2.5], "another": [9.0]}))
        row = await _next(watch)
        assert (row.position, row.values.tolist(), row.forecast.values.shape) == (2, [2.5], (4, 3))
        with grpc.insecure_channel(server.address) as channel:
            infer = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                oip.ModelInferRequest.SerializeToString,
                oip.ModelInferResponse.FromString,
            )
            infer(infer_request([[3.5]], name, model="gru"))
        row = await _next(watch)
        assert (row.position, row.values.tolist(), row.time) == (3, [3.5], None)


async def test_a_watch_goes_on_when_its_session_begins_anew(kind, server):
    """It tells of a reset and of an end, and then the first row."""
    name = f"anew-{kind.__name__}"
    async with watching(kind, server, name) as (client, watch):
        sessions = client.sessions("gru")
        await now(client.session("gru", name).observe([1.0, 2.0]))
        row = await _next(watch)
        assert (row.position, row.num_skipped) == (2, 1)
        await now(sessions.reset(name))
        assert (await _next(watch)).kind == "reset"
        await now(client.session("gru", name).observe(1.0))
        assert (await _next(watch)).position == 1
        await now(sessions.delete(name))
        assert (await _next(watch)).kind == "deleted"
        await now(client.session("gru", name).observe(4.0))
        row = await _next(watch)
        assert (row.position, row.values.tolist()) == (1, [4.0])


async def test_a_fast_stream_is_thinned_and_every_row_accounted_for(kind, server):
    """Told and left out come to all rows, and the last row is told."""
    name = f"fast-{kind.__name__}"
    async with watching(kind, server, name, 5) as (client, watch):
        async with entered(client.stream("gru")) as stream:
            for number in range(100):
                await now(stream.forecast({name: [float(number)]}))
        num_told = num_rows = 0
        while num_rows < 100:
            row = await _next(watch)
            num_told += 1
            num_rows += 1 + row.num_skipped
            assert row.position == num_rows
            assert row.values.tolist() == [num_rows - 1]
        assert 1 < num_told < 100


async def test_a_session_that_leaves_memory_is_told_on(kind, repository):
    """It comes back with its next row, and the watch with it."""
    with serving(repository, "--max-resident-sessions", "2") as server:
        async with watching(kind, server, "a") as (client, watch):
            await now(client.session("gru", "a").observe(1.0))
            assert (await _next(watch)).position == 1
            for other in "bcd":
                await now(client.session("gru", other).observe(1.0))
            assert (await _next(watch)).kind == "evicted"
            await now(client.session("gru", "a").observe(1.0))
            row = await _next(watch)
            assert (row.position, row.num_skipped) == (2, 0)


async def test_a_session_that_is_upgraded_is_told_on(kind, tmp_path):
    """With the new version's forecasts."""
    write_model(tmp_path, "gru", "gru", features=("y",))
    with serving(tmp_path) as server:
        async with watching(kind, server, "a") as (client, watch):
            await now(client.session("gru", "a").observe(1.0))
            assert (await _next(watch)).model_version == 1
            write_model(tmp_path, "gru", "gru", version=2, seed=1, features=("y",))
            with grpc.insecure_channel(server.address) as channel:
                request = model_pb2.LoadModelRequest(model="gru", policy=model_pb2.UPGRADE_POLICY_CARRY)
                model_pb2_grpc.ModelServiceStub(channel).LoadModel(request)
            result = await now(client.session("gru", "a").forecast(1.0))
            told = await _next(watch)
            if isinstance(told, statecast.WatchedEvent):
                assert told.kind == "upgraded"
                told = await _next(watch)
            assert (told.position, told.model_version) == (2, 2)
            np.testing.assert_array_equal(told.forecast.values, result.forecast.values)


async def test_a_watch_ends_when_it_is_closed_or_the_server_drains(kind, repository):
    """Closed: there is no more; drained: with UNAVAILABLE, at once."""
    with serving(repository) as server:
        async with entered(kind.client(server.address)) as client:
            watch = await now(client.sessions("gru").watch_rows("a"))
            waiting = asyncio.create_task(_next(watch))
            watch.close()
            assert await waiting is None
            watch = await now(client.sessions("gru").watch_rows("a"))
            waiting = asyncio.create_task(_next(watch))
            assert server.stop() == 0
            with pytest.raises(statecast.Unavailable, match="draining"):
                await waiting


async def test_a_watch_that_is_refused_says_so_at_once(kind, server):
    """No model of that name, an id that none can have, a pace that is none, and too many."""
    async with entered(kind.client(server.address, retry_budget_s=0)) as client:
        with pytest.raises(statecast.NotFound, match="is not served"):
            await now(client.sessions("absent").watch_rows("a"))
        with pytest.raises(statecast.InvalidRequest, match="session_id: expected 1 to 256 bytes"):
            await now(client.sessions("gru").watch_rows("x" * 257))
        with pytest.raises(ValueError, match="max_rows_per_s: expected 1 or more"):
            await now(client.sessions("gru").watch_rows("a", 0))
        watches = [await now(client.sessions("gru").watch_rows(f"many-{n}")) for n in range(64)]
        with pytest.raises(statecast.Overloaded, match="64 sessions of the model are watched"):
            await now(client.sessions("gru").watch_rows("one-more"))
        for watch in watches:
            watch.close()
