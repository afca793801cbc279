"""States that callers carry: nothing stays with the server, and any server with the keys goes on."""

import re

import numpy as np
import pytest

import statecast
from service.sessions.seal_keys import new_key
from statecast.v1 import forecast_pb2, model_pb2
from tests.both_clients import Awaiting, Blocking, entered, now
from tests.model_files import write_model
from tests.server_process import serving

TIMES = np.datetime64("2024-05-01T00", "h") + np.arange(12)
ROWS = np.random.default_rng(7).normal(10, 3, 12)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "seal.keys"
    path.write_text(new_key() + "\n")
    return path


@pytest.fixture(scope="module")
def servers(repository, keys):
    """Two servers that share nothing but the file of keys."""
    flags = ("--seal-keys", str(keys))
    with serving(repository, *flags) as one, serving(repository, *flags) as other:
        yield one, other


@pytest.fixture(params=[Blocking, Awaiting], ids=["blocking", "awaiting"])
async def clients(request, servers):
    one, other = (request.param.client(server.address, retry_budget_s=5) for server in servers)
    async with entered(one) as first, entered(other) as second:
        yield first, second


@pytest.fixture
def name(request):
    return re.sub(r"\W", "-", request.node.name)


async def test_a_carried_session_forecasts_as_a_kept_one(clients, name):
    """From server to server with each call; neither has the session."""
    kept = await now(clients[0].session("gru", f"{name}-kept").forecast(ROWS, TIMES, reply="each"))
    sealed, values = b"", []
    for turn, (rows, times) in enumerate(zip(np.split(ROWS, 4), np.split(TIMES, 4), strict=True)):
        carried = clients[turn % 2].carried("gru", name, sealed)
        result = await now(carried.forecast(rows, times, reply="each"))
        assert (result.position, carried.position) == (3 * turn + 3,) * 2
        assert result.model_version == 1
        values += [forecast.values for forecast in result.forecasts]
        sealed = carried.sealed
    np.testing.assert_allclose(values, [forecast.values for forecast in kept.forecasts], rtol=1e-5)
    for client in clients:
        with pytest.raises(statecast.NotFound):
            await now(client.sessions("gru").get(name))


async def test_a_history_may_be_long(clients, name):
    """More rows than a batch takes at once."""
    rows = np.random.default_rng(1).normal(10, 3, 20_000)
    kept = await now(clients[0].session("gru", f"{name}-kept").forecast(rows))
    carried = clients[0].carried("gru", name)
    assert (await now(carried.observe(rows[:15_000]))).position == 15_000
    result = await now(carried.forecast(rows[15_000:]))
    assert result.position == 20_000
    np.testing.assert_allclose(result.forecast.values, kept.forecast.values, rtol=1e-4)


async def test_late_rows_and_gaps_are_counted(clients, name):
    """The last time is part of what is carried."""
    carried = clients[0].carried("gru", name)
    await now(carried.observe(ROWS[:2], TIMES[:2]))
    result = await now(clients[1].carried("gru", name, carried.sealed).forecast(ROWS[:3], TIMES[[1, 4, 5]]))
    assert (result.position, result.num_late, result.num_missing_steps) == (5, 1, 2)


async def test_one_state_can_be_tried_many_times(clients, name):
    """What if: the same state with other rows; a call that is sent again finds what it found before."""
    carried = clients[0].carried("gru", name)
    await now(carried.observe(ROWS[:5]))
    state = carried.sealed
    outcomes = []
    for row in (1.0, 100.0, 1.0):
        outcomes.append((await now(clients[0].carried("gru", name, state).forecast(row))).forecast.values)
    np.testing.assert_array_equal(outcomes[0], outcomes[2])
    assert (outcomes[0] != outcomes[1]).any()


async def test_a_state_opens_where_it_belongs(clients, name):
    """Changed, cut, of another session: DATA_LOSS; of another model: FAILED_PRECONDITION. It stays usable."""
    carried = clients[0].carried("gru", name)
    await now(carried.observe(ROWS[:5]))
    state = carried.sealed
    for session_id, damaged in (
        (name, state[:-1]),
        (name, state[:70] + bytes([state[70] ^ 1]) + state[71:]),
        (f"{name}-other", state),
    ):
        with pytest.raises(statecast.DataLoss) as refused:
            await now(clients[1].carried("gru", session_id, damaged).observe(1.0))
        assert refused.value.field == "sealed_state"
    with pytest.raises(statecast.SessionMismatch, match=r"sha256:.*served as 'two': sha256:"):
        await now(clients[1].carried("two", name, state).observe([1.0, 1.0]))
    assert (await now(clients[1].carried("gru", name, state).observe(1.0))).position == 6


async def test_a_refused_row_leaves_the_state_as_it_was(clients, name):
    """The caller goes on from the state it has."""
    carried = clients[0].carried("gru", name)
    await now(carried.observe(ROWS[:2]))
    state = carried.sealed
    with pytest.raises(statecast.InvalidRequest, match="finite"):
        await now(carried.observe(np.inf))
    assert (carried.sealed, carried.position) == (state, 2)


def _request(**fields):
    rows = [forecast_pb2.Row(values=[1.0])]
    return forecast_pb2.ForecastRequest(model="gru", session_id="raw", rows=rows, **fields)


def test_a_position_is_the_carried_states(servers):
    """Rows before it are skipped, rows beyond it refused with where it stands."""
    with statecast.Client(servers[0].address) as client:
        carried = client.carried("gru", "raw")
        carried.observe(ROWS[:3])
        call = client._stubs.method("Forecast")
        again = call(_request(carry_state=True, sealed_state=carried.sealed, position=2))
        assert (again.position, again.num_skipped, len(again.forecasts)) == (3, 1, 1)
        with pytest.raises(Exception, match="position 4: the session has consumed 3 rows") as ahead:
            call(_request(carry_state=True, sealed_state=carried.sealed, position=4))
        assert dict(ahead.value.trailing_metadata())["statecast-committed-position"] == "3"


def test_a_state_without_carrying_is_refused(servers):
    """It would be ignored otherwise, and a kept session stepped in its place."""
    with statecast.Client(servers[0].address) as client:
        with pytest.raises(Exception, match="sealed_state: expected none without carry_state"):
            client._stubs.method("Forecast")(_request(sealed_state=b"state"))
        with pytest.raises(statecast.NotFound):
            client.sessions("gru").get("raw")


def test_without_keys_nothing_is_carried(repository):
    """The refusal says how to turn it on."""
    with serving(repository) as server, statecast.Client(server.address) as client:
        with pytest.raises(
            statecast.InvalidRequest, match=r"statecast keys new FILE.*--seal-keys"
        ) as refused:
            client.carried("gru", "a").observe(1.0)
        assert refused.value.field == "carry_state"


def test_carried_states_take_no_room(repository, keys):
    """With room for one session, which is there, others are carried one after the other."""
    with (
        serving(repository, "--seal-keys", str(keys), "--max-resident-sessions", "2") as server,
        statecast.Client(server.address) as client,
    ):
        client.session("gru", "kept").observe(1.0)
        for number in range(5):
            assert client.carried("gru", f"carried-{number}").forecast(ROWS[:3]).position == 3
        assert [info.session_id for info in client.sessions("gru").list()] == ["kept"]


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize("policy", ["pin", "carry", "replay"])
def test_a_carried_session_lives_through_an_upgrade(policy, store, tmp_path, keys):
    """Its state goes over as a kept session's does; no watcher and no store learns of it."""
    repository = tmp_path / "repository"
    write_model(repository, "gru", "gru", features=("y",))
    url = {"memory": "memory:", "sqlite": f"sqlite:{tmp_path}/sessions.db"}[store]
    flags = ("--seal-keys", str(keys), "--recent-rows", "50", "--watch-s", "0", "--store", url)
    with serving(repository, *flags) as server, statecast.Client(server.address) as client:
        kept, carried = client.session("gru", "kept"), client.carried("gru", "carried")
        for session in (kept, carried):
            session.observe(ROWS[:6])
        write_model(repository, "gru", "gru", 2, seed=1, features=("y",))
        policies = model_pb2.UpgradePolicy.Value(f"UPGRADE_POLICY_{policy.upper()}")
        client._stubs.method("LoadModel")(model_pb2.LoadModelRequest(model="gru", version=2, policy=policies))
        with client.sessions("gru").watch() as watch:
            for first in (6, 9):
                expected = kept.forecast(ROWS[first : first + 3])
                result = carried.forecast(ROWS[first : first + 3])
                assert result.model_version == expected.model_version == (1 if policy == "pin" else 2)
                np.testing.assert_allclose(result.forecast.values, expected.forecast.values, rtol=1e-5)
            assert [info.session_id for info in client.sessions("gru").list()] == ["kept"]
            client.sessions("gru").delete("kept")
            told = []
            for event in watch:
                told.append((event.kind, event.session.session_id))
                if event.kind == "deleted":
                    break
        assert {session_id for _, session_id in told} == {"kept"}
