"""Sessions in Valkey for tests: begun, gone on with, looked at."""

import redis

from service.store.valkey_store import ValkeyStore
from tests.contract.store_cases import MODEL, START_S, STORES, Entry, Truth, commit, truth_of
from tests.contract.valkey_backing import ValkeyBacking

# Enough to be in every partition.
MANY = [f"meter-{number:03d}" for number in range(200)]
# One server, and a Cluster.
VALKEY = [kind for kind in STORES if kind.is_shared]
Client = redis.Redis | redis.RedisCluster


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


def record_keys(client: Client, backing: ValkeyBacking) -> dict[str, bytes]:
    """The keys of the sessions of MODEL, by id."""
    pattern = f"{backing.namespace}:*:{MODEL}:*"
    return {key.decode().split(":", 3)[3]: key for key in client.scan_iter(pattern)}
