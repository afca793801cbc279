"""Sessions listed, copied, reset, moved and ended, with both clients on a real server."""

import re
import signal
from datetime import UTC, datetime

import numpy as np
import pytest

import statecast
from statecast.v1 import session_pb2
from tests.both_clients import Awaiting, Blocking, entered, now
from tests.server_process import serving
from tests.valkey_server import shared_server

TIMES = np.datetime64("2024-05-01T00", "h") + np.arange(12)
ROWS = np.random.default_rng(7).normal(10, 3, 12)


@pytest.fixture(
    scope="module", params=["memory", "memory-spilled", "sqlite", "sqlite-spilled", "valkey-spilled"]
)
def server(request, repository, tmp_path_factory):
    """Every session in memory, or but a few, so that most are in the store when they are asked for."""
    store, _, spilled = request.param.partition("-")
    urls = {
        "memory": lambda: "memory:",
        "sqlite": lambda: f"sqlite:{tmp_path_factory.mktemp('store')}/sessions.db",
        "valkey": lambda: f"{shared_server().url}/5",
    }
    flags = ("--store", urls[store](), "--max-resident-sessions", "20" if spilled else "1000")
    with serving(repository, "--max-message-bytes", "65536", *flags) as running:
        yield running


@pytest.fixture(params=[Blocking, Awaiting], ids=["blocking", "awaiting"])
async def client(request, server):
    async with entered(request.param.client(server.address, retry_budget_s=5)) as opened:
        yield opened


@pytest.fixture
def name(request, client):
    """A beginning for ids that no other test uses."""
    return re.sub(r"\W", "-", request.node.name) + "-"


async def _listed(sessions, prefix, **options):
    found = sessions.list(prefix, **options)
    return [each async for each in found] if hasattr(found, "__aiter__") else list(found)


async def _crowd(client):
    """Others that are used now: where memory is short, whoever was there leaves it."""
    async with entered(client.stream("gru")) as stream:
        await now(stream.forecast({f"crowd-{number}": 1.0 for number in range(20)}, reply="none"))


async def test_a_session_tells_what_is_known_of_it(client, server, name):
    """Version, digest, position, times and place."""
    before = datetime.now(UTC)
    await now(client.session("gru", name).observe(ROWS[:3], TIMES[:3]))
    sessions = client.sessions("gru")
    info = await now(sessions.get(name))
    model = await now(client.model("gru"))
    assert (info.session_id, info.model, info.position) == (name, "gru", 3)
    assert (info.model_version, info.model_digest) == (1, model.digest)
    assert info.last_time == TIMES[2].astype(datetime).replace(tzinfo=UTC)
    assert before <= info.used_at <= datetime.now(UTC)
    assert info.place == "memory"
    await _crowd(client)
    again = await now(sessions.get(name))
    assert again.place in ("memory", "store")
    assert (again.position, again.last_time) == (3, info.last_time)


async def test_a_fork_leaves_the_original_as_it_was(client, name):
    """Bit by bit: its export before and after rows of the copy; the copy forecasts what it would."""
    original = client.session("gru", f"{name}a")
    await now(original.observe(ROWS[:5], TIMES[:5]))
    sessions = client.sessions("gru")
    before = await now(sessions.export(f"{name}a"))
    copy = await now(sessions.fork(f"{name}a", f"{name}b"))
    assert (copy.session_id, copy.position) == (f"{name}b", 5)
    await now(client.session("gru", f"{name}b").observe([100.0, 200.0], TIMES[5:7]))
    assert await now(sessions.export(f"{name}a")) == before
    await now(sessions.fork(f"{name}a", f"{name}c"))
    expected = await now(original.forecast(ROWS[5:], TIMES[5:], reply="each"))
    again = await now(client.session("gru", f"{name}c").forecast(ROWS[5:], TIMES[5:], reply="each"))
    for one, other in zip(expected.forecasts, again.forecasts, strict=True):
        np.testing.assert_array_equal(one.values, other.values)


async def test_a_session_that_moves_goes_on_as_if_it_had_stayed(client, server, repository, name):
    """Exported, ended and opened elsewhere, under another id, it forecasts as the uninterrupted one."""
    stayed = client.session("gru", f"{name}stayed")
    expected = await now(stayed.forecast(ROWS, TIMES, reply="each"))
    await now(client.session("gru", f"{name}moves").observe(ROWS[:5], TIMES[:5]))
    sessions = client.sessions("gru")
    exported = await now(sessions.export(f"{name}moves"))
    assert (await now(sessions.delete(f"{name}moves"))).position == 5
    with pytest.raises(statecast.NotFound):
        await now(sessions.get(f"{name}moves"))
    with serving(repository) as other_server, statecast.Client(other_server.address) as other:
        opened = other.sessions("gru").import_("moved", exported)
        assert (opened.position, opened.last_time) == (5, TIMES[4].astype(datetime).replace(tzinfo=UTC))
        moved = other.session("gru", "moved").forecast(ROWS[5:], TIMES[5:], reply="each")
    await now(sessions.import_(f"{name}moves", exported))
    back = await now(client.session("gru", f"{name}moves").forecast(ROWS[5:], TIMES[5:], reply="each"))
    for one, two, three in zip(expected.forecasts[5:], moved.forecasts, back.forecasts, strict=True):
        np.testing.assert_allclose(one.values, two.values, rtol=1e-5)
        np.testing.assert_array_equal(two.values, three.values)


async def test_a_taken_id_is_not_taken_twice(client, name):
    """Fork and import refuse it, and it stands as it was; import replaces it when told to."""
    for letter, number in (("a", 3), ("b", 1)):
        await now(client.session("gru", name + letter).observe(ROWS[:number]))
    sessions = client.sessions("gru")
    exported = await now(sessions.export(f"{name}a"))
    with pytest.raises(statecast.AlreadyExists, match=f"has a session '{name}b' already") as taken:
        await now(sessions.fork(f"{name}a", f"{name}b"))
    assert taken.value.field == "session_id"
    with pytest.raises(statecast.AlreadyExists):
        await now(sessions.fork(f"{name}a", f"{name}a"))
    with pytest.raises(statecast.AlreadyExists):
        await now(sessions.import_(f"{name}b", exported))
    assert (await now(sessions.get(f"{name}b"))).position == 1
    assert (await now(sessions.import_(f"{name}b", exported, overwrite=True))).position == 3
    assert await now(sessions.export(f"{name}b")) != exported
    assert session_pb2.ExportedSession.FromString(await now(sessions.export(f"{name}b"))).position == 3


async def test_a_reset_session_begins_anew(client, name):
    """Position 0, the initial state: its next forecasts are those of its first rows; no other is touched."""
    first = await now(client.session("gru", name).forecast(ROWS[:4], TIMES[:4], reply="each"))
    sessions = client.sessions("gru")
    reset = await now(sessions.reset(name))
    assert (reset.position, reset.last_time) == (0, None)
    again = await now(client.session("gru", name).forecast(ROWS[:4], TIMES[:4], reply="each"))
    for one, other in zip(first.forecasts, again.forecasts, strict=True):
        np.testing.assert_array_equal(one.values, other.values)


async def test_all_that_begin_so_are_listed_once(client, name):
    """A page at a time, in whatever place they are; others are not."""
    async with entered(client.stream("gru")) as stream:
        ids = [f"{name}{number:03}" for number in range(45)]
        for first in range(0, 45, 15):
            await now(stream.forecast(dict.fromkeys(ids[first : first + 15], 1.0), reply="none"))
    for page_size in (7, 45, 1000):
        found = await _listed(client.sessions("gru"), name, page_size=page_size)
        assert sorted(info.session_id for info in found) == ids
        assert {info.position for info in found} == {1}
    everything = {info.session_id for info in await _listed(client.sessions("gru"), "")}
    assert everything >= set(ids)
    assert await _listed(client.sessions("gru"), f"{name}x") == []


async def test_what_is_not_there_is_not_found(client, name):
    """For every call that names a session, and for a model."""
    sessions = client.sessions("gru")
    for call in (sessions.get, sessions.reset, sessions.export, sessions.delete):
        with pytest.raises(statecast.NotFound, match="has no session"):
            await now(call(name))
    with pytest.raises(statecast.NotFound, match="has no session"):
        await now(sessions.fork(name, f"{name}2"))
    with pytest.raises(statecast.NotFound, match="is not served"):
        await _listed(client.sessions("absent"), "")


async def test_damaged_and_foreign_states_are_refused(client, name):
    """DATA_LOSS for what was changed or cut, FAILED_PRECONDITION for another model's; nothing is opened."""
    await now(client.session("gru", f"{name}a").observe(ROWS[:3]))
    exported = await now(client.sessions("gru").export(f"{name}a"))
    changed = exported[:40] + bytes([exported[40] ^ 1]) + exported[41:]
    for damaged in (changed, exported[:-1], b""):
        with pytest.raises(statecast.DataLoss, match="checksum"):
            await now(client.sessions("gru").import_(f"{name}b", damaged))
    with pytest.raises(statecast.SessionMismatch) as foreign:
        await now(client.sessions("two").import_(f"{name}b", exported))
    for model in ("gru", "two"):
        assert (await now(client.model(model))).digest in str(foreign.value)
        with pytest.raises(statecast.NotFound):
            await now(client.sessions(model).get(f"{name}b"))


@pytest.mark.parametrize("bad", ["", "x" * 257, "a\nb"])
async def test_a_new_id_is_checked_like_any_other(bad, client, name):
    """The field is named: the copy's id, not the original's."""
    await now(client.session("gru", f"{name[:20]}a").observe(1.0))
    with pytest.raises(statecast.InvalidRequest) as wrong:
        await now(client.sessions("gru").fork(f"{name[:20]}a", bad))
    assert wrong.value.field == "new_session_id"


async def test_a_page_token_is_of_one_list(client, server, name):
    """One of another prefix, or made up, is refused; the field is named."""
    async with entered(client.stream("gru")) as stream:
        await now(stream.forecast({f"{name}{number}": 1.0 for number in range(3)}, reply="none"))
    with statecast.Client(server.address) as blocking:
        call = blocking._stubs.method("ListSessions")
        first = call(session_pb2.ListSessionsRequest(model="gru", prefix=name, page_size=1))
        assert first.next_page_token
        for prefix, token in (("", first.next_page_token), (name, "made up"), (name, "AAAA")):
            request = session_pb2.ListSessionsRequest(model="gru", prefix=prefix, page_token=token)
            with pytest.raises(Exception, match="page_token: expected the next_page_token of a page"):
                call(request)


@pytest.mark.parametrize("resident", [2, 100])
def test_what_is_exported_outlives_a_kill(resident, repository, tmp_path):
    """After kill -9 each export holds what it held, of sessions in memory and of those behind the journal."""
    flags = ("--store", f"sqlite:{tmp_path}/sessions.db", "--max-resident-sessions", str(resident))
    names = [f"s{number}" for number in range(6)]
    with serving(repository, *flags) as first, statecast.Client(first.address) as client:
        for number, name in enumerate(names):
            client.session("gru", name).observe(ROWS[: number + 3], TIMES[: number + 3])
        before = {name: client.sessions("gru").export(name) for name in names}
        first.stop(signal.SIGKILL)
    with serving(repository, *flags) as second, statecast.Client(second.address) as client:
        for name, exported in before.items():
            _assert_same_state(client.sessions("gru").export(name), exported)


def _assert_same_state(found, expected):
    found, expected = (session_pb2.ExportedSession.FromString(each) for each in (found, expected))
    for one, other in zip(found.states, expected.states, strict=True):
        kind = np.dtype(one.dtype)
        np.testing.assert_allclose(
            np.frombuffer(one.content, kind), np.frombuffer(other.content, kind), rtol=1e-5, atol=1e-6
        )
    for message in (found, expected):
        for field in ("states", "checksum"):
            message.ClearField(field)
    assert found == expected
