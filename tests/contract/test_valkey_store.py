"""What the Valkey store does beyond what every store does; on one server and on a Cluster."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import redis
from redis.crc import key_slot
from structlog.testing import capture_logs

from service.errors import InvalidSettings, StoreUnavailable
from service.store import valkey_record as layout
from service.store.contract import Record, StoreFault
from service.store.valkey_keys import NUM_PARTITIONS, PARTITION_TAGS
from service.store.valkey_store import ValkeyStore
from tests.contract.store_cases import (
    MODEL,
    NUM_FEATURES,
    OTHER_MODEL,
    START_S,
    TTL_S,
    Entry,
    HandClock,
    Truth,
    commit,
    truth_of,
)
from tests.contract.valkey_backing import ValkeyBacking, on_a_cluster, on_one_server
from tests.valkey_server import ValkeyServer, shared_cluster, valkey_cluster, valkey_server

# Enough to be in every partition.
MANY = [f"meter-{number:03d}" for number in range(200)]


@pytest.fixture(params=[on_one_server, on_a_cluster], ids=["one-server", "cluster"])
def backing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ValkeyBacking]:
    """Empty."""
    make: Callable[..., AbstractContextManager[ValkeyBacking]] = request.param
    with make(tmp_path, ttl_s=TTL_S) as made:
        yield made


@pytest.fixture
def clock() -> HandClock:
    """The stores' clock."""
    return HandClock()


@pytest.fixture
async def store(backing: ValkeyBacking, clock: HandClock) -> AsyncIterator[ValkeyStore]:
    """One replica's."""
    opened = backing.open(clock)
    yield opened
    await opened.close()


@pytest.fixture
async def other(backing: ValkeyBacking, clock: HandClock) -> AsyncIterator[ValkeyStore]:
    """Another replica's, on the same sessions."""
    opened = backing.open(clock)
    yield opened
    await opened.close()


@pytest.fixture
def client(backing: ValkeyBacking) -> Iterator["redis.Redis | redis.RedisCluster"]:
    """To look at the keys."""
    connect = redis.RedisCluster.from_url if "+cluster" in backing.url else redis.Redis.from_url
    url = backing.url.replace("valkey+cluster:", "redis:").replace("valkey:", "redis:")
    with connect(url) as connected:
        yield connected


async def begin(store: ValkeyStore, session_ids: list[str]) -> list[Entry]:
    """New sessions of one row each, as entries to go on from."""
    entries = [Entry(session_id, [1.0]) for session_id in session_ids]
    committed = await commit(store, entries)
    assert list(committed.refused) == []
    return [go_on(entry, token) for entry, token in zip(entries, committed.tokens.tolist(), strict=True)]


def go_on(entry: Entry, token: int, *values: float) -> Entry:
    """The session's next entry."""
    return Entry(entry.session_id, values or [2.0], was=entry.then(START_S), token=token)


async def truths(store: ValkeyStore, session_ids: list[str]) -> list[Truth]:
    """Where sessions stand."""
    return [truth_of(await store.peek(MODEL, session_id)) for session_id in session_ids]


def record_keys(client: "redis.Redis | redis.RedisCluster", backing: ValkeyBacking) -> dict[str, bytes]:
    """The keys of the sessions of MODEL, by id."""
    pattern = f"{backing.namespace}:*:{MODEL}:*"
    return {key.decode().split(":", 3)[3]: key for key in client.scan_iter(pattern)}


class TestTakeover:
    """Two replicas, one session."""

    async def test_the_stale_replica_is_refused(self, store: ValkeyStore, other: ValkeyStore) -> None:
        """Once another has loaded sessions, whoever had them writes none of them any more."""
        held = await begin(store, MANY)
        taken = await other.load(MODEL, MANY)
        refused = await commit(store, held)
        assert list(refused.refused) == list(range(len(MANY)))
        assert await truths(other, MANY) == [entry.was for entry in held]
        theirs = [
            replace(entry, token=record.token, values=[5.0])
            for entry, record in zip(held, taken, strict=True)
        ]
        assert list((await commit(other, theirs)).refused) == []
        assert await truths(store, MANY) == [entry.then(START_S) for entry in theirs]

    async def test_neighbours_of_a_lost_session_are_stored(
        self, store: ValkeyStore, other: ValkeyStore
    ) -> None:
        """In one batch some sessions are refused and others stored, each by its own token."""
        held = await begin(store, MANY)
        lost = [3, 70, 71, 199]
        await other.load(MODEL, [MANY[index] for index in lost])
        committed = await commit(store, held)
        assert list(committed.refused) == lost
        stands = await truths(store, MANY)
        for index, entry in enumerate(held):
            assert stands[index] == (entry.was if index in lost else entry.then(START_S))

    async def test_of_two_that_open_a_session_one_has_it(
        self, store: ValkeyStore, other: ValkeyStore
    ) -> None:
        """Two replicas that both find no session do not both make it."""
        assert await store.load(MODEL, ["a"]) == await other.load(MODEL, ["a"]) == [None]
        first, second = Entry("a", [1.0]), Entry("a", [9.0, 9.0])
        assert list((await commit(other, [second])).refused) == []
        assert list((await commit(store, [first])).refused) == [0]
        assert await truths(store, ["a"]) == [second.then(START_S)]

    async def test_a_position_that_is_not_the_stores_is_refused(self, store: ValkeyStore) -> None:
        """The right token does not help a commit that starts elsewhere: a batch sent twice counts once."""
        (entry,) = await begin(store, ["a"])
        assert list((await commit(store, [entry])).refused) == []
        assert list((await commit(store, [entry])).refused) == [0]
        assert await truths(store, ["a"]) == [entry.then(START_S)]

    async def test_a_session_that_was_deleted_is_refused(
        self, store: ValkeyStore, other: ValkeyStore
    ) -> None:
        """Whoever still holds a deleted session does not bring it back, nor write into its successor."""
        (entry,) = await begin(store, ["a"])
        assert await other.delete(MODEL, "a")
        assert list((await commit(store, [entry])).refused) == [0]
        (successor,) = await begin(other, ["a"])
        assert list((await commit(store, [entry])).refused) == [0]
        assert await truths(store, ["a"]) == [successor.was]


class TestKeys:
    """What is in the server."""

    async def test_a_partition_is_one_slot_and_all_are_used(
        self, store: ValkeyStore, backing: ValkeyBacking, client: redis.Redis
    ) -> None:
        """The hash tag of a key names one of the partitions, and sessions spread over all of them."""
        await begin(store, MANY)
        keys = record_keys(client, backing)
        assert sorted(keys) == MANY
        used = {key.split(b":")[1] for key in keys.values()}
        assert used == set(PARTITION_TAGS)
        assert len(used) == NUM_PARTITIONS

    async def test_a_batch_is_one_script_or_one_a_partition(
        self, store: ValkeyStore, client: "redis.Redis | redis.RedisCluster"
    ) -> None:
        """On one server a batch is one call, in a Cluster as many as there are partitions."""

        def num_calls() -> int:
            if isinstance(client, redis.Redis):
                return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])
            nodes = client.info("commandstats", target_nodes=redis.RedisCluster.PRIMARIES)
            return sum(node["cmdstat_evalsha"]["calls"] for node in nodes.values())

        held = await begin(store, MANY)
        before = num_calls()
        await commit(store, held)
        assert num_calls() - before == (1 if isinstance(client, redis.Redis) else NUM_PARTITIONS)

    async def test_each_commit_renews_the_time_to_live(
        self, store: ValkeyStore, backing: ValkeyBacking, client: redis.Redis
    ) -> None:
        """Keys expire TTL_S after the last commit; a load renews nothing."""
        (entry,) = await begin(store, ["a"])
        key = record_keys(client, backing)["a"]
        client.pexpire(key, 500_000)
        (record,) = await store.load(MODEL, ["a"])
        assert client.pttl(key) <= 500_000
        await commit(store, [replace(entry, token=record.token)])
        assert 500_000 < client.pttl(key) <= TTL_S * 1000

    async def test_what_expired_in_the_server_is_over(
        self, store: ValkeyStore, backing: ValkeyBacking, client: redis.Redis
    ) -> None:
        """A session whose key is gone is gone: not listed, refused to whoever holds it, told by `expire`."""
        first, second = await begin(store, ["a", "b"])
        client.delete(record_keys(client, backing)["a"])
        assert await store.peek(MODEL, "a") is None
        listed, _ = await store.page(MODEL, "", "", 10)
        assert [each.session_id for each in listed] == ["b"]
        assert list((await commit(store, [first, second])).refused) == [0]
        assert await store.count(MODEL) == 2
        assert await store.expire(MODEL, START_S - 1) == ["a"]
        assert await store.count(MODEL) == 1

    async def test_a_lost_script_is_sent_again(self, store: ValkeyStore, client: redis.Redis) -> None:
        """A server that has forgotten the scripts gets them with the next call."""
        (entry,) = await begin(store, ["a"])
        client.script_flush()
        assert list((await commit(store, [entry])).refused) == []
        assert await truths(store, ["a"]) == [entry.then(START_S)]

    async def test_namespaces_do_not_meet(
        self, store: ValkeyStore, backing: ValkeyBacking, clock: HandClock
    ) -> None:
        """Another namespace of the same server has none of the sessions."""
        await begin(store, ["a"])
        elsewhere = replace(backing, namespace=f"{backing.namespace}-b").open(clock)
        assert await elsewhere.load(MODEL, ["a"]) == [None]
        assert await elsewhere.count(MODEL) == 0
        await elsewhere.close()


class TestPages:
    """`page`, `count` and `expire` over many sessions."""

    @pytest.mark.parametrize("limit", [1, 7, 100, 1000])
    async def test_each_session_is_listed_once_and_in_order(self, store: ValkeyStore, limit: int) -> None:
        """Pages of any size give every session of the model in the order of ids, while others come and go."""
        await begin(store, MANY)
        await store.save(OTHER_MODEL, [Truth(1).record("meter-999")])
        seen: list[str] = []
        after, number = "", 0
        while True:
            page, after = await store.page(MODEL, "meter-", after, limit)
            assert len(page) <= limit
            seen += [each.session_id for each in page]
            if not after:
                break
            await begin(store, [f"meter-{number:03d}-new", f"a-{number}"])
            number += 1
        there = [each for each in seen if not each.endswith("-new")]
        assert there == MANY
        assert seen == sorted(seen)

    async def test_sessions_that_crowd_in_one_partition_are_all_listed(self, store: ValkeyStore) -> None:
        """Ids that come one after the other and happen to lie together are not passed over for later ones."""
        crowd = [name for name in map("a-{:04d}".format, range(2000)) if crc32(name.encode()) % 16 == 0]
        await begin(store, [*crowd, *MANY])
        seen: list[str] = []
        after = ""
        while not seen or after:
            page, after = await store.page(MODEL, "", after, 100)
            seen += [each.session_id for each in page]
        assert seen == [*crowd, *MANY]

    async def test_any_id_is_found_by_its_beginning(self, store: ValkeyStore) -> None:
        """Ids with signs that keys, patterns or ranges give a meaning to, and beyond ASCII."""
        ids = ["*", "a*", "a:b", "a:c", "a{p1}", "[a", "(a", "ä", "äö", "日本", "\U0001f600", "-", "+", "a b"]
        await begin(store, ids)
        for prefix in ["", "a", "a:", "a{", "[", "(", "ä", "日", "-", "*", "\U0001f600"]:
            page, after = await store.page(MODEL, prefix, "", 100)
            assert [each.session_id for each in page] == sorted(n for n in ids if n.startswith(prefix))
            assert after == ""

    async def test_expire_ends_what_was_not_used_since(self, store: ValkeyStore) -> None:
        """Of many sessions exactly those last used before are ended, and told."""
        old, new = MANY[::3], [name for name in MANY if name not in MANY[::3]]
        await begin(store, old)
        await commit(store, [Entry(name, [1.0]) for name in new], at_s=START_S + 50)
        assert sorted(await store.expire(MODEL, START_S + 20)) == old
        assert await store.count(MODEL) == len(new)
        assert await store.load(MODEL, old) == [None] * len(old)
        listed, _ = await store.page(MODEL, "", "", 1000)
        assert [each.session_id for each in listed] == new

    async def test_a_batch_of_any_size_is_stored(self, store: ValkeyStore) -> None:
        """More sessions than one call of a script takes."""
        ids = [f"{number:05d}" for number in range(3000)]
        entries = await begin(store, ids)
        assert list((await commit(store, entries)).refused) == []
        assert await store.count(MODEL) == len(ids)
        loaded = await store.load(MODEL, ids)
        assert [truth_of(record) for record in loaded] == [entry.then(START_S) for entry in entries]


class TestRecent:
    """Rows that are kept to run again through another model."""

    @pytest.fixture
    async def store(self, backing: ValkeyBacking, clock: HandClock) -> AsyncIterator[ValkeyStore]:
        """It keeps four rows."""
        opened = replace(backing, num_recent_rows=4).open(clock)
        await opened.recover(MODEL, NUM_FEATURES)
        yield opened
        await opened.close()

    async def recent(self, store: ValkeyStore, session_id: str) -> list[float]:
        """The first feature of the rows kept."""
        record = await store.peek(MODEL, session_id)
        assert isinstance(record, Record)
        return np.frombuffer(record.recent, "<f8").reshape(-1, NUM_FEATURES)[:, 0].tolist()

    async def test_the_last_rows_come_back(self, store: ValkeyStore) -> None:
        """However rows are cut into batches, the last four are kept, of each session its own."""
        sent: dict[str, list[float]] = {name: [] for name in ["a", "b", "c"]}
        held = [Entry(name, [100.0]) for name in sent]
        for number in range(12):
            values = {"a": [float(number)], "b": [number + 0.5] * (number % 3), "c": np.arange(number % 7.0)}
            entries = [replace(entry, values=list(values[entry.session_id])) for entry in held]
            committed = await commit(store, entries)
            assert list(committed.refused) == []
            held = [go_on(e, t) for e, t in zip(entries, committed.tokens.tolist(), strict=True)]
            for entry in entries:
                sent[entry.session_id] += entry.values
                assert await self.recent(store, entry.session_id) == sent[entry.session_id][-4:]

    async def test_old_rows_are_let_go(
        self, store: ValkeyStore, backing: ValkeyBacking, client: redis.Redis
    ) -> None:
        """However long a session lives, no more than twice the rows asked for take room."""
        (entry,) = await begin(store, ["a"])
        for number in range(50):
            committed = await commit(store, [entry])
            entry = go_on(entry, entry.token, float(number))
            assert list(committed.refused) == []
        (key,) = client.keys(f"{backing.namespace}-recent:*")
        assert client.strlen(key) <= 2 * 4 * NUM_FEATURES * 8
        assert client.pttl(key) > 0

    async def test_a_successor_begins_with_none(
        self, store: ValkeyStore, backing: ValkeyBacking, client: redis.Redis
    ) -> None:
        """Rows of a session that ended are not those of the next one of its id."""
        await begin(store, ["a"])
        client.delete(record_keys(client, backing)["a"])
        await commit(store, [Entry("a", [7.0])])
        assert await self.recent(store, "a") == [7.0]

    async def test_saved_rows_are_followed_by_committed_ones(self, store: ValkeyStore) -> None:
        """What `save` brought is kept on, and replaced by the next `save`."""
        rows = np.repeat([[1.0], [2.0], [3.0]], NUM_FEATURES, axis=1).tobytes()
        (token,) = await store.save(MODEL, [replace(Truth(3).record("a"), recent=rows)])
        assert await self.recent(store, "a") == [1.0, 2.0, 3.0]
        await commit(store, [Entry("a", [4.0, 5.0], was=Truth(3), token=token)])
        assert await self.recent(store, "a") == [2.0, 3.0, 4.0, 5.0]
        await store.save(MODEL, [Truth(5).record("a", token)])
        assert await self.recent(store, "a") == []

    async def test_without_keeping_commits_leave_no_old_rows(
        self, store: ValkeyStore, backing: ValkeyBacking, clock: HandClock
    ) -> None:
        """A store that keeps none does not leave rows that lack the last ones, now or later."""
        (entry,) = await begin(store, ["a"])
        other = replace(backing, num_recent_rows=0).open(clock)
        await commit(other, [entry])
        assert await self.recent(other, "a") == await self.recent(store, "a") == []
        await other.close()
        await commit(store, [go_on(entry, entry.token, 9.0)])
        assert await self.recent(store, "a") == [9.0]


class TestDamage:
    """Records that are not as they were written."""

    def test_every_byte_is_watched(self) -> None:
        """A flipped bit anywhere but in the token makes a record a fault; whole, it comes back as it was."""
        record = replace(Truth(7, 1234, 5.0, 7).record("a"), states=bytes(range(200)), token=99)
        value = layout.pack(record, 99, has_recent=False)
        assert layout.unpack("a", value, b"", 99) == record
        for at in range(8, len(value)):
            for bit in (1, 128):
                damaged = bytearray(value)
                damaged[at] ^= bit
                found = layout.unpack("a", bytes(damaged), b"", 99)
                assert isinstance(found, StoreFault), f"byte {at} is not watched"
        for size in range(len(value)):
            assert isinstance(layout.unpack("a", value[:size], b"", 99), StoreFault)
        swapped = value[:-16] + value[-8:] + value[-16:-8]
        assert isinstance(layout.unpack("a", swapped, b"", 99), StoreFault)

    async def test_a_damaged_record_is_a_fault_and_its_neighbours_load(
        self, store: ValkeyStore, backing: ValkeyBacking, client: redis.Redis
    ) -> None:
        """Each kind of damage is told of its session; nothing is written over what is not ours."""
        ids = ["cut", "empty", "flipped", "foreign", "list", "well"]
        await begin(store, ids)
        keys = record_keys(client, backing)
        client.set(keys["cut"], client.get(keys["cut"])[:60])
        client.set(keys["empty"], b"")
        client.setrange(keys["flipped"], 150, b"\x99")
        client.set(keys["foreign"], b"somebody else's, and longer than the head of a record of ours is")
        client.delete(keys["list"])
        client.rpush(keys["list"], "x")
        foreign = client.get(keys["foreign"])
        loaded = dict(zip(ids, await store.load(MODEL, ids), strict=True))
        assert truth_of(loaded.pop("well")) == Entry("well", [1.0]).then(START_S)
        for session_id, fault in loaded.items():
            assert isinstance(fault, StoreFault), session_id
            assert fault.session_id == session_id
        assert client.get(keys["foreign"]) == foreign
        assert client.type(keys["list"]) == b"list"

    async def test_a_wrong_key_refuses_its_session_alone(
        self, store: ValkeyStore, backing: ValkeyBacking, client: redis.Redis
    ) -> None:
        """A key of another type among a batch's: that session is refused, the others are stored."""
        held = await begin(store, MANY[:20])
        key = record_keys(client, backing)[MANY[5]]
        client.delete(key)
        client.hset(key, "a", "b")
        assert list((await commit(store, held)).refused) == [5]
        others = [name for name in MANY[:20] if name != MANY[5]]
        assert await truths(store, others) == [e.then(START_S) for e in held if e.session_id in others]
        assert client.type(key) == b"hash"
        await store.save(MODEL, [Truth(1).record(MANY[5])])
        assert await truths(store, [MANY[5]]) == [Truth(1)]


class TestStart:
    """What is told of a server's settings before sessions depend on them."""

    async def warned(self, server: ValkeyServer, url: str = "") -> list[dict[str, object]]:
        """Warnings when a store on the server recovers two models."""
        store = ValkeyStore(url or server.url, ttl_s=TTL_S, timeout_s=30.0)
        with capture_logs() as logs:
            await store.recover(MODEL, NUM_FEATURES)
            await store.recover(OTHER_MODEL, NUM_FEATURES)
        await store.close()
        assert {entry["log_level"] for entry in logs} <= {"warning"}
        return [{name: entry.get(name) for name in ("setting", "found", "expected")} for entry in logs]

    async def test_settings_that_lose_sessions_are_named_once(self, tmp_path: Path) -> None:
        """Eviction and missing persistence are warned of by their settings; a good server is not."""
        evicts = {"setting": "maxmemory-policy", "found": "allkeys-lru", "expected": "noeviction"}
        forgets = {"setting": "appendonly", "found": "no", "expected": "yes"}
        with valkey_server(tmp_path) as server:
            client = server.client()
            assert await self.warned(server) == []
            client.config_set("maxmemory-policy", "allkeys-lru")
            assert await self.warned(server) == [evicts]
            client.config_set("appendonly", "no")
            assert await self.warned(server) == [evicts, forgets]
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("save", "3600 1")
            assert await self.warned(server) == [forgets]

    async def test_settings_that_may_not_be_read_are_told(self, tmp_path: Path) -> None:
        """Where the user has no right to CONFIG the store works, and says what it could not see."""
        with valkey_server(tmp_path) as server:
            server.client().execute_command("ACL SETUSER app on >secret ~* +@all -config")
            url = server.url.replace("//", "//app:secret@")
            assert await self.warned(server, url) == [{"setting": None, "found": None, "expected": None}]
            store = ValkeyStore(url, ttl_s=TTL_S, clock=HandClock())
            await begin(store, ["a"])
            await store.close()

    async def test_a_cluster_wants_its_own_scheme(self) -> None:
        """A plain URL of a Cluster's node is refused with the scheme to write."""
        url = shared_cluster().url.replace("+cluster", "")
        store = ValkeyStore(url, ttl_s=TTL_S)
        with pytest.raises(InvalidSettings, match=r"put \+cluster behind the scheme"):
            await store.recover(MODEL, NUM_FEATURES)
        await store.close()

    @pytest.mark.parametrize(
        ("url", "told"),
        [
            ("postgres://host", "found postgres:"),
            ("redis+sentinel://host", "found redis\\+sentinel:"),
            ("valkey+cluster://host/3", "one database, 0; found 3"),
            ("redis://host?db=x", "db"),
        ],
    )
    def test_a_url_that_is_none_is_refused(self, url: str, told: str) -> None:
        """The error says what was found."""
        with pytest.raises(InvalidSettings, match=told):
            ValkeyStore(url, ttl_s=TTL_S)


class TestMovingSlots:
    """A Cluster that is being changed."""

    async def test_a_slot_is_followed_to_its_new_node(self, tmp_path: Path) -> None:
        """While a partition's keys move its sessions may have to wait; before and after that they go on."""
        with valkey_cluster(tmp_path) as cluster:
            store = ValkeyStore(cluster.url, ttl_s=TTL_S, clock=HandClock(), timeout_s=30.0)
            held = await begin(store, MANY)
            slot = key_slot(PARTITION_TAGS[3].strip(b"{}"))
            source = cluster.owner(slot)
            target = next(node for node in cluster.nodes if node is not source)
            keys = source.client().execute_command("CLUSTER GETKEYSINSLOT", slot, 1000)
            assert len(keys) > 5

            begin_move(source, target, slot)
            move_keys(source, target, keys[:5])
            with pytest.raises(StoreUnavailable, match="rehashing of slot"):
                await commit(store, held)
            move_keys(source, target, keys[5:])

            # The source still has the slot, and sends on whoever asks for what it no longer has.
            loaded = await store.load(MODEL, MANY)
            held = [
                replace(entry, was=truth_of(record), token=record.token)
                for entry, record in zip(held, loaded, strict=True)
            ]
            assert {entry.was.position for entry in held} == {1, 2}
            committed = await commit(store, held)
            assert list(committed.refused) == []

            for node in (target, *cluster.nodes):
                node.client().execute_command("CLUSTER SETSLOT", slot, "NODE", node_id(target))
            held = [go_on(e, t) for e, t in zip(held, committed.tokens.tolist(), strict=True)]
            assert list((await commit(store, held)).refused) == []
            num_moved = source.client().info("errorstats")["errorstat_MOVED"]
            assert await truths(store, MANY) == [entry.then(START_S) for entry in held]
            assert source.client().info("errorstats")["errorstat_MOVED"] == num_moved
            assert not source.client().execute_command("CLUSTER GETKEYSINSLOT", slot, 10)
            await store.close()


def node_id(node: ValkeyServer) -> str:
    """By which a Cluster knows it."""
    return str(node.client().execute_command("CLUSTER MYID").decode())


def begin_move(source: ValkeyServer, target: ValkeyServer, slot: int) -> None:
    """From now on the slot is on its way."""
    target.client().execute_command("CLUSTER SETSLOT", slot, "IMPORTING", node_id(source))
    source.client().execute_command("CLUSTER SETSLOT", slot, "MIGRATING", node_id(target))


def move_keys(source: ValkeyServer, target: ValkeyServer, keys: list[bytes]) -> None:
    """From the one to the other, at once."""
    source.client().execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
