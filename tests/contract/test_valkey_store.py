"""What the Valkey store does beyond what every store does; on one server and on a Cluster."""

from collections.abc import AsyncIterator
from dataclasses import replace
from zlib import crc32

import pytest
import redis

from service.store.valkey_keys import NUM_PARTITIONS, PARTITION_TAGS
from service.store.valkey_store import ValkeyStore
from tests.contract.store_cases import (
    MODEL,
    OTHER_MODEL,
    START_S,
    TTL_S,
    Entry,
    HandClock,
    Truth,
    commit,
    truth_of,
)
from tests.contract.valkey_backing import ValkeyBacking
from tests.contract.valkey_cases import MANY, VALKEY, Client, begin, record_keys, truths

pytestmark = pytest.mark.parametrize("kind", VALKEY, ids=lambda kind: kind.name, indirect=True)


@pytest.fixture
async def other(backing: ValkeyBacking, clock: HandClock) -> AsyncIterator[ValkeyStore]:
    """Another replica's, on the same sessions."""
    opened = backing.open(clock)
    yield opened
    await opened.close()


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
        self, store: ValkeyStore, backing: ValkeyBacking, client: Client
    ) -> None:
        """The hash tag of a key names one of the partitions, and sessions spread over all of them."""
        await begin(store, MANY)
        keys = record_keys(client, backing)
        assert sorted(keys) == MANY
        used = {key.split(b":")[1] for key in keys.values()}
        assert used == set(PARTITION_TAGS)
        assert len(used) == NUM_PARTITIONS

    async def test_a_batch_is_one_script_or_one_a_partition(self, store: ValkeyStore, client: Client) -> None:
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
        self, store: ValkeyStore, backing: ValkeyBacking, client: Client
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
        self, store: ValkeyStore, backing: ValkeyBacking, client: Client
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
