"""Valkey that dies, stands still, is cut off or refuses; and replicas that do."""

import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.errors import StoreUnavailable
from service.store.contract import Committed, Record
from service.store.valkey_store import ValkeyStore
from tests.contract.store_cases import MODEL, START_S, TTL_S, Entry, HandClock, Truth, commit, truth_of
from tests.cuttable_proxy import CuttableProxy
from tests.server_process import clean_environment
from tests.valkey_server import ValkeyServer, valkey_cluster, valkey_server

MANY = [f"meter-{number:03d}" for number in range(200)]
# Long enough for any answer that comes, short enough to wait for one that does not.
SHORT_S = 0.5
ROOT = Path(__file__).parents[2]

# A replica: takes the sessions over, then commits a row to each for each line it reads.
REPLICA = """
import asyncio, sys
from dataclasses import replace
from service.store.valkey_store import ValkeyStore
from tests.contract.store_cases import MODEL, TTL_S, Entry, HandClock, commit, truth_of

async def run(url, ids):
    store = ValkeyStore(url, ttl_s=TTL_S, clock=HandClock(), timeout_s=30.0)
    loaded = await store.load(MODEL, ids)
    entries = [Entry(r.session_id, [3.0], was=truth_of(r), token=r.token) for r in loaded]
    print("holds", len(entries), flush=True)
    for _ in sys.stdin:
        committed = await commit(store, entries)
        print("refused", len(committed.refused), flush=True)
    await store.close()

asyncio.run(run(sys.argv[1], sys.argv[2:]))
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """It writes to disk before it answers."""
    with valkey_server(tmp_path / "valkey") as server:
        yield server


@asynccontextmanager
async def opened(url: str, timeout_s: float = 30.0) -> AsyncIterator[ValkeyStore]:
    """A replica's store."""
    store = ValkeyStore(url, ttl_s=TTL_S, clock=HandClock(), timeout_s=timeout_s)
    yield store
    await store.close()


async def begin(store: ValkeyStore, session_ids: list[str]) -> list[Entry]:
    """New sessions of one row each, as entries to go on from."""
    entries = [Entry(session_id, [1.0]) for session_id in session_ids]
    return went_on(entries, await commit(store, entries))


def went_on(entries: list[Entry], committed: Committed) -> list[Entry]:
    """The sessions' next entries, once these are stored."""
    assert list(committed.refused) == []
    tokens = committed.tokens.tolist()
    return [
        Entry(each.session_id, [2.0], was=each.then(START_S), token=token)
        for each, token in zip(entries, tokens, strict=True)
    ]


async def taken_over(store: ValkeyStore, entries: list[Entry]) -> list[Entry]:
    """The entries, as whoever loads the sessions goes on: without the rows that are stored already."""
    loaded = await store.load(MODEL, [entry.session_id for entry in entries])
    resent = []
    for entry, record in zip(entries, loaded, strict=True):
        was = truth_of(record) if record is not None else Truth()
        assert was in (entry.was, entry.then(START_S)), "a row was stored in part, or something else was"
        token = record.token if isinstance(record, Record) else entry.token
        values = entry.values if was == entry.was else []
        resent.append(replace(entry, was=was, token=token, values=values))
    return resent


async def stand(store: ValkeyStore, session_ids: list[str]) -> list[Truth]:
    """Where sessions stand."""
    return [truth_of(await store.peek(MODEL, session_id)) for session_id in session_ids]


class TestServerDies:
    """kill -9 and a new start on the same disk."""

    async def test_killed_at_any_moment_nothing_acknowledged_is_lost(self, server: ValkeyServer) -> None:
        """Batches are stored in whole or not at all; resent by position, each row counts once."""
        random = np.random.default_rng(7)
        async with opened(server.url) as store:
            entries = await begin(store, MANY)
            for _ in range(12):
                asyncio.get_running_loop().call_later(random.uniform(0, 0.03), server.kill)
                with contextlib.suppress(StoreUnavailable):
                    while True:
                        entries = went_on(entries, await commit(store, entries))
                server.start()
                resent = await taken_over(store, entries)
                num_values = {len(entry.values) for entry in resent}
                assert len(num_values) == 1, "some of one batch are stored and some are not"
                entries = went_on(resent, await commit(store, resent))
            assert await stand(store, MANY) == [entry.was for entry in entries]

    async def test_a_store_that_was_idle_goes_on_at_once(self, server: ValkeyServer) -> None:
        """After the server's restart the first call works: nobody is refused for a dead connection."""
        async with opened(server.url) as store:
            entries = await begin(store, MANY)
            # On another thread: the store's loop sees the connection end, as a server's loop does.
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            assert await stand(store, MANY) == [entry.was for entry in entries]
            went_on(entries, await commit(store, entries))

    async def test_without_a_server_each_call_says_so(self, server: ValkeyServer) -> None:
        """Every call is refused at once, with the address; it works again once the server is back."""
        async with opened(server.url) as store:
            (entry,) = await begin(store, ["a"])
            server.kill()
            calls = [
                store.load(MODEL, ["a"]),
                store.peek(MODEL, "a"),
                commit(store, [entry]),
                store.save(MODEL, [Truth(1).record("b")]),
                store.delete(MODEL, "a"),
                store.page(MODEL, "", "", 10),
                store.count(MODEL),
                store.expire(MODEL, START_S),
                store.recover(MODEL, 2),
            ]
            for call in calls:
                with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{server.port}"):
                    await call
            server.start()
            went_on([entry], await commit(store, [entry]))

    async def test_a_reply_that_is_lost_counts_once(self, server: ValkeyServer) -> None:
        """The batch was stored, its answer cut off: the sender does not know, loads, and resends nothing."""
        with CuttableProxy(f"127.0.0.1:{server.port}") as proxy:
            async with opened(f"valkey://{proxy.address}") as store, opened(server.url) as other:
                entries = await begin(store, MANY)
                proxy.hold_replies()
                sent = asyncio.create_task(commit(store, entries))
                while (await stand(other, ["meter-000"]))[0].position == 1:
                    pass
                proxy.cut()
                with pytest.raises(StoreUnavailable):
                    await sent
                resent = await taken_over(store, entries)
                assert all(entry.values == [] for entry in resent)
                went_on(resent, await commit(store, resent))
                assert await stand(other, MANY) == [entry.then(START_S) for entry in entries]


class TestServerStandsStill:
    """SIGSTOP: connections are there, answers are not."""

    async def test_a_slow_server_is_unavailable_and_then_works(self, server: ValkeyServer) -> None:
        """Each call ends within its time; what the server does late does not undo what came after it."""
        async with opened(server.url, SHORT_S) as store:
            entries = await begin(store, MANY)
            server.pause()
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match=f"no answer within {SHORT_S:g} s"):
                    await commit(store, entries)
            with pytest.raises(StoreUnavailable, match=f"no answer within {SHORT_S:g} s"):
                await store.load(MODEL, MANY)
            server.go_on()
            resent = await taken_over(store, entries)
            entries = went_on(resent, await commit(store, resent))
            assert {entry.was.position for entry in entries} == {2}
            assert await stand(store, MANY) == [entry.was for entry in entries]

    async def test_replies_that_come_late_are_nobody_elses(self, server: ValkeyServer) -> None:
        """A call that was given up leaves no reply to the calls after it."""
        async with opened(server.url) as store:
            await begin(store, ["a"])
            await store.save(MODEL, [Truth(5, total=9.0).record("b")])
            server.pause()
            given_up = [asyncio.create_task(store.peek(MODEL, "a")) for _ in range(5)]
            await asyncio.wait(given_up, timeout=0.05)
            for task in given_up:
                task.cancel()
            await asyncio.wait(given_up)
            assert all(task.cancelled() for task in given_up)
            server.go_on()
            for _ in range(10):
                assert truth_of(await store.peek(MODEL, "b")) == Truth(5, total=9.0)

    async def test_closing_waits_for_what_is_under_way(self, server: ValkeyServer) -> None:
        """A commit that was sent when the store is closed still gets its answer."""
        async with opened(server.url) as store, opened(server.url) as other:
            entries = await begin(store, MANY)
            server.pause()
            sent = asyncio.create_task(commit(store, entries))
            await asyncio.wait([sent], timeout=0.05)
            closed = asyncio.create_task(store.close())
            await asyncio.wait([closed], timeout=0.05)
            assert not closed.done()
            server.go_on()
            went_on(entries, await sent)
            await closed
            assert await stand(other, MANY) == [entry.then(START_S) for entry in entries]


class TestServerRefuses:
    """It answers, and says no."""

    async def test_a_wrong_password_is_told_and_not_shown(self, server: ValkeyServer) -> None:
        """The error says what the server said; the password is nowhere in it."""
        server.client().config_set("requirepass", "right")
        for url, told in (
            (server.url.replace("//", "//:wr0ng@"), "(?i)invalid username-password|WRONGPASS"),
            (server.url, "(?i)Authentication required|NOAUTH"),
        ):
            async with opened(url) as store:
                with pytest.raises(StoreUnavailable, match=told) as caught:
                    await store.load(MODEL, ["a"])
                assert "wr0ng" not in str(caught.value)
        async with opened(server.url.replace("//", "//:right@")) as store:
            await begin(store, ["a"])

    async def test_a_full_server_changes_nothing(self, server: ValkeyServer) -> None:
        """At its memory limit it refuses the batch in whole; with room again the batch is stored."""
        client = server.client()
        async with opened(server.url) as store:
            entries = await begin(store, MANY)
            client.config_set("maxmemory", "1")
            for call in (commit(store, entries), store.load(MODEL, MANY)):
                with pytest.raises(StoreUnavailable, match="maxmemory"):
                    await call
            assert await stand(store, MANY) == [entry.was for entry in entries]
            client.config_set("maxmemory", "0")
            went_on(entries, await commit(store, entries))

    async def test_a_server_made_a_replica_is_left(self, server: ValkeyServer) -> None:
        """It takes no writes: unavailable, and the next call asks anew who bears the name."""
        client = server.client()
        async with opened(server.url) as store:
            entries = await begin(store, MANY)
            before = {each["id"] for each in client.client_list(_type="normal")} - {str(client.client_id())}
            assert before
            # Its primary is nowhere, so it keeps what it has.
            client.replicaof("127.0.0.1", "1")
            with pytest.raises(StoreUnavailable, match="read only replica"):
                await commit(store, entries)
            client.replicaof("NO", "ONE")
            went_on(entries, await commit(store, entries))
            assert not before & {each["id"] for each in client.client_list(_type="normal")}

    async def test_a_server_that_is_no_valkey_is_unavailable(self) -> None:
        """Whoever answers in another tongue, or hangs up, is not the store."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        async with opened(f"valkey://127.0.0.1:{port}") as store:
            with pytest.raises(StoreUnavailable, match=str(port)):
                await store.load(MODEL, ["a"])
        listening.close()


class TestReplicas:
    """Servers of ours, as processes."""

    def test_a_paused_replica_that_wakes_up_cannot_overwrite(self, server: ValkeyServer) -> None:
        """It held the sessions, stood still, and another took over: its commit is refused in whole."""
        ids = MANY[:50]

        async def prepare() -> None:
            async with opened(server.url) as store:
                await begin(store, ids)

        async def take_over() -> list[Truth]:
            async with opened(server.url) as store:
                loaded = await store.load(MODEL, ids)
                entries = [
                    Entry(record.session_id, [7.0], was=truth_of(record), token=record.token)
                    for record in loaded
                    if isinstance(record, Record)
                ]
                went_on(entries, await commit(store, entries))
                return await stand(store, ids)

        async def look() -> list[Truth]:
            async with opened(server.url) as store:
                return await stand(store, ids)

        asyncio.run(prepare())
        replica = subprocess.Popen(
            [sys.executable, "-c", REPLICA, server.url, *ids],
            cwd=ROOT,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert replica.stdin is not None
        assert replica.stdout is not None
        assert replica.stdout.readline() == "holds 50\n"
        replica.send_signal(signal.SIGSTOP)
        replica.stdin.write("commit\n")
        replica.stdin.flush()
        theirs = asyncio.run(take_over())
        replica.send_signal(signal.SIGCONT)
        assert replica.stdout.readline() == "refused 50\n"
        assert asyncio.run(look()) == theirs
        assert {truth.position for truth in theirs} == {2}
        replica.stdin.close()
        assert replica.wait(30) == 0

    async def test_a_dead_replicas_sessions_go_on_at_the_other(self, server: ValkeyServer) -> None:
        """Without waiting for anything: whoever is asked takes over, at the last acknowledged position."""
        async with opened(server.url) as dead, opened(server.url) as other:
            entries = await begin(dead, MANY)
            entries = went_on(entries, await commit(dead, entries))
            resent = await taken_over(other, entries)
            assert [entry.was for entry in resent] == [entry.was for entry in entries]
            went_on(resent, await commit(other, resent))

    async def test_replicas_that_fight_over_sessions_lose_no_row(self, server: ValkeyServer) -> None:
        """Three replicas add rows to the same sessions by turns and at once: each row counts once."""
        ids, num_rows = MANY[:20], 30

        async def add(store: ValkeyStore, value: float) -> None:
            """To each session `num_rows` rows, each again until it is known to be stored."""
            left = dict.fromkeys(ids, num_rows)
            while left:
                wanted = list(left)
                loaded = await store.load(MODEL, wanted)
                entries = [
                    Entry(name, [value], was=truth_of(record), token=record.token)
                    if isinstance(record, Record)
                    else Entry(name, [value])
                    for name, record in zip(wanted, loaded, strict=True)
                ]
                refused = set((await commit(store, entries)).refused)
                for index, name in enumerate(wanted):
                    if index not in refused:
                        left[name] -= 1
                        if not left[name]:
                            del left[name]

        async with opened(server.url) as first, opened(server.url) as second, opened(server.url) as third:
            await asyncio.gather(add(first, 1.0), add(second, 100.0), add(third, 10_000.0))
            for truth in await stand(first, ids):
                assert truth.position == truth.num_steps == 3 * num_rows
                assert truth.total == num_rows * 2 * 10_101.0


class TestCluster:
    """A node of three is lost for a while."""

    async def test_a_lost_node_costs_its_time_and_no_row(self, tmp_path: Path) -> None:
        """Killed or standing still: unavailable, then all goes on where it was acknowledged."""
        with valkey_cluster(tmp_path / "cluster", "--cluster-require-full-coverage", "no") as cluster:
            async with opened(cluster.url, 2.0) as store:
                entries = await begin(store, MANY)
                for node in cluster.nodes[::2]:
                    node.kill()
                    with pytest.raises(StoreUnavailable):
                        await commit(store, entries)
                    node.start()
                    node.wait_for("Cluster state changed: ok")
                    resent = await taken_over(store, entries)
                    # Those whose nodes were there are stored already.
                    assert {len(entry.values) for entry in resent} == {0, 1}
                    entries = went_on(resent, await commit(store, resent))
                for node in cluster.nodes[:2]:
                    node.pause()
                    with pytest.raises(StoreUnavailable, match="no answer within"):
                        await commit(store, entries)
                    node.go_on()
                    resent = await taken_over(store, entries)
                    entries = went_on(resent, await commit(store, resent))
                assert await stand(store, MANY) == [entry.was for entry in entries]
