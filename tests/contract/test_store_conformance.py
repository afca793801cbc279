"""What every store does. The stores are those of `store_cases.STORES`."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from service.errors import TokenLost
from service.store.contract import NO_TOKEN, Record, SessionStore
from tests.contract.store_cases import (
    MODEL,
    STORES,
    Backing,
    HandClock,
    StoreKind,
    Truth,
    truth_of,
)

DURABLE = [kind for kind in STORES if kind.is_durable]
SHARED = [kind for kind in STORES if kind.is_shared]


def of(kinds: list[StoreKind]) -> pytest.MarkDecorator:
    """Run a test with these kinds only."""
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.name, indirect=True)


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


async def load_one(store: SessionStore, session_id: str, model: str = MODEL) -> Record:
    """A session that is there."""
    (record,) = await store.load(model, [session_id])
    assert isinstance(record, Record), record
    return record


def a_truth(position: int = 3, total: float = 6.0) -> Truth:
    """A session that has had some rows."""
    return Truth(position=position, last_time_us=10_000, total=total, num_steps=position)


class TestLoad:
    """`load` and `peek`."""

    async def test_an_unknown_session_loads_as_none(self, store: SessionStore) -> None:
        """None stands where there is no session, in the ids' order."""
        await store.save(MODEL, [a_truth().record("b")])
        first, second, third = await store.load(MODEL, ["a", "b", "c"])
        assert first is None
        assert truth_of(second) == a_truth()
        assert third is None

    async def test_a_load_refuses_the_tokens_given_before(self, store: SessionStore) -> None:
        """Whoever loads takes over: the token is new and the one before is worth nothing."""
        (old,) = await store.save(MODEL, [a_truth().record("a")])
        new = (await load_one(store, "a")).token
        assert new not in (NO_TOKEN, old)
        with pytest.raises(TokenLost) as caught:
            await store.save(MODEL, [a_truth(4).record("a", old)])
        assert list(caught.value.session_ids) == ["a"]
        await store.save(MODEL, [a_truth(5).record("a", new)])
        assert truth_of(await load_one(store, "a")) == a_truth(5)

    async def test_a_peek_takes_nothing_over(self, store: SessionStore) -> None:
        """A peek shows the session and leaves it to whoever has it."""
        (token,) = await store.save(MODEL, [a_truth().record("a")])
        peeked = await store.peek(MODEL, "a")
        assert truth_of(peeked) == a_truth()
        assert isinstance(peeked, Record)
        assert peeked.token == NO_TOKEN
        await store.save(MODEL, [a_truth(5).record("a", token)])
        assert await store.peek(MODEL, "b") is None
