"""The store under test, of each kind in turn."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from service.store.contract import SessionStore
from tests.contract.store_cases import STORES, Backing, HandClock, StoreKind
from tests.contract.valkey_backing import ValkeyBacking


@pytest.fixture(params=STORES, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> StoreKind:
    """The kind of store under test."""
    return request.param


@pytest.fixture
def clock() -> HandClock:
    """The stores' clock."""
    return HandClock()


@pytest.fixture
def backing(kind: StoreKind, tmp_path: Path) -> Iterator[Backing]:
    """Empty."""
    with kind.make(tmp_path) as made:
        yield made


@pytest.fixture
async def store(backing: Backing, clock: HandClock) -> AsyncIterator[SessionStore]:
    """Empty."""
    opened = backing.open(clock)
    yield opened
    await opened.close()


@pytest.fixture
def client(backing: ValkeyBacking) -> Iterator[redis.Redis | redis.RedisCluster]:
    """To look at the keys behind a store in Valkey."""
    connect = redis.RedisCluster.from_url if "+cluster" in backing.url else redis.Redis.from_url
    url = backing.url.replace("valkey+cluster:", "redis:").replace("valkey:", "redis:")
    with connect(url) as connected:
        yield connected
