"""Servers of Valkey as they are set up: their settings, their URLs, and a Cluster whose slots move."""

from dataclasses import replace
from pathlib import Path

import pytest
from redis.crc import key_slot
from structlog.testing import capture_logs

from service.errors import InvalidSettings, StoreUnavailable
from service.store.valkey_keys import PARTITION_TAGS
from service.store.valkey_store import ValkeyStore
from tests.contract.store_cases import (
    MODEL,
    NUM_FEATURES,
    OTHER_MODEL,
    START_S,
    TTL_S,
    HandClock,
    commit,
    truth_of,
)
from tests.contract.valkey_cases import MANY, begin, go_on, truths
from tests.valkey_server import ValkeyServer, shared_cluster, valkey_cluster, valkey_server


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
