"""What every store does with sessions given to it whole. The stores are those of `store_cases.STORES`."""

from dataclasses import replace

import pytest

from service.errors import TokenLost
from service.store.contract import NO_TIME, NO_TOKEN, Record, Recovered, SessionStore
from tests.contract.store_cases import (
    MODEL,
    OTHER_DIGEST,
    OTHER_MODEL,
    START_S,
    TTL_S,
    Backing,
    HandClock,
    StoreKind,
    Truth,
    a_truth,
    load_one,
    truth_of,
    truths,
)

# What ids may hold: whatever Unicode has, that they begin alike, NUL and what patterns take for signs.
IDS = ["a", "a\0b", "ab", "é", "e\u0301", "日本", "😀/%_*[x]{1}", " ", "x" * 500, "\U0010ffff"]


async def everything(store: SessionStore, prefix: str = "", limit: int = 3, model: str = MODEL) -> list[str]:
    """Ids of every page."""
    found, after = [], ""
    while True:
        listed, after = await store.page(model, prefix, after, limit)
        assert len(listed) <= limit
        found += [each.session_id for each in listed]
        if not after:
            return found


class TestLoad:
    """`load` and `peek`."""

    async def test_an_unknown_session_loads_as_none(self, store: SessionStore) -> None:
        """None stands where there is no session, in the ids' order."""
        await store.save(MODEL, [a_truth().record("b"), a_truth(5).record("d")])
        first, second, third, fourth = await store.load(MODEL, ["a", "d", "c", "b"])
        assert (first, third) == (None, None)
        assert (truth_of(second), truth_of(fourth)) == (a_truth(5), a_truth())
        assert await store.peek(MODEL, "a") is None
        assert await store.load(MODEL, []) == []

    async def test_a_load_refuses_the_tokens_given_before(self, store: SessionStore) -> None:
        """Whoever loads takes over: the token is new and the one before is worth nothing."""
        (old,) = await store.save(MODEL, [a_truth().record("a")])
        new = (await load_one(store, "a")).token
        assert new not in (NO_TOKEN, old)
        with pytest.raises(TokenLost) as caught:
            await store.save(MODEL, [a_truth(4).record("a", old)])
        assert list(caught.value.session_ids) == ["a"]
        await store.save(MODEL, [a_truth(5).record("a", new)])
        assert await truths(store, ["a"]) == [a_truth(5)]

    async def test_a_peek_takes_nothing_over(self, store: SessionStore) -> None:
        """A peek shows the session and leaves it to whoever has it."""
        (token,) = await store.save(MODEL, [a_truth().record("a")])
        peeked = await store.peek(MODEL, "a")
        assert truth_of(peeked) == a_truth()
        assert isinstance(peeked, Record)
        assert peeked.token == NO_TOKEN
        await store.save(MODEL, [a_truth(5).record("a", token)])
        assert await truths(store, ["a"]) == [a_truth(5)]


class TestSave:
    """`save`."""

    async def test_every_field_comes_back(self, store: SessionStore) -> None:
        """A record loads as it was saved, however long, negative or empty what it holds."""
        recent = b"\0\xff" * 40
        record = Record("a", "sha256:x", 2**53, -(2**62), bytes(range(256)) * 50, recent, START_S)
        (token,) = await store.save(MODEL, [record])
        loaded = await load_one(store, "a")
        assert replace(loaded, token=token) == replace(record, token=token)
        assert loaded.tail is None

    async def test_a_session_that_had_no_row_comes_back(self, store: SessionStore) -> None:
        """Initial states are saved as no states at position 0."""
        await store.save(MODEL, [Record("a", "sha256:x", 0, NO_TIME, b"", used_at_s=START_S)])
        loaded = await load_one(store, "a")
        assert (loaded.position, loaded.last_time_us, loaded.states) == (0, NO_TIME, b"")

    @pytest.mark.parametrize("session_id", IDS)
    async def test_any_id_is_kept_apart_from_any_other(self, store: SessionStore, session_id: str) -> None:
        """No two ids are taken for one, whatever signs they hold."""
        expected = {name: a_truth(at + 1) for at, name in enumerate(IDS)}
        await store.save(MODEL, [truth.record(name) for name, truth in expected.items()])
        await store.save(MODEL, [a_truth(99).record(session_id)])
        expected[session_id] = a_truth(99)
        assert dict(zip(IDS, await truths(store, IDS), strict=True)) == expected
        assert sorted(await everything(store)) == sorted(IDS)

    async def test_a_new_session_replaces_what_bears_its_id(self, store: SessionStore) -> None:
        """Without a token a record takes the place of any session, whose token is worth nothing then."""
        (old,) = await store.save(MODEL, [a_truth(9).record("a")])
        (new,) = await store.save(MODEL, [a_truth(2).record("a")])
        assert new != old
        with pytest.raises(TokenLost):
            await store.save(MODEL, [a_truth(10).record("a", old)])
        await store.save(MODEL, [a_truth(3).record("a", new)])
        assert await truths(store, ["a"]) == [a_truth(3)]
        assert await store.count(MODEL) == 1

    async def test_a_session_is_put_back_to_its_beginning(self, store: SessionStore) -> None:
        """A record at position 0 is a reset: its token stays good for what comes next."""
        (token,) = await store.save(MODEL, [a_truth(9).record("a")])
        (token,) = await store.save(MODEL, [Truth().record("a", token)])
        assert await truths(store, ["a"]) == [Truth()]
        await store.save(MODEL, [a_truth(1).record("a", token)])
        assert await truths(store, ["a"]) == [a_truth(1)]

    async def test_a_session_passes_to_another_model_file(self, store: SessionStore) -> None:
        """States of another digest take the place of those before, at the same position."""
        (token,) = await store.save(MODEL, [a_truth().record("a")])
        moved = replace(a_truth(total=60.0), digest=OTHER_DIGEST)
        await store.save(MODEL, [moved.record("a", token)])
        assert await truths(store, ["a"]) == [moved]

    async def test_one_refused_record_keeps_all_from_being_saved(
        self, store: SessionStore, kind: StoreKind
    ) -> None:
        """A save with a lost token names the lost sessions and changes none."""
        if kind.is_spread:
            pytest.skip("each server stores its own part")
        tokens = await store.save(MODEL, [a_truth().record(name) for name in "abcd"])
        await store.load(MODEL, ["b", "d"])
        with pytest.raises(TokenLost) as caught:
            await store.save(
                MODEL, [a_truth(8).record(name, token) for name, token in zip("abcd", tokens, strict=True)]
            )
        assert sorted(caught.value.session_ids) == ["b", "d"]
        assert await truths(store, list("abcd")) == [a_truth()] * 4

    async def test_a_lost_token_keeps_new_sessions_out_too(
        self, store: SessionStore, kind: StoreKind
    ) -> None:
        """New sessions beside a refused one are not opened."""
        if kind.is_spread:
            pytest.skip("each server stores its own part")
        (token,) = await store.save(MODEL, [a_truth().record("a")])
        await store.load(MODEL, ["a"])
        with pytest.raises(TokenLost):
            await store.save(MODEL, [a_truth().record("new"), a_truth(8).record("a", token)])
        assert await store.peek(MODEL, "new") is None
        assert await store.count(MODEL) == 1

    async def test_a_token_is_of_one_session(self, store: SessionStore) -> None:
        """A good token does not open another session's door."""
        (token,) = await store.save(MODEL, [a_truth().record("a")])
        await store.save(MODEL, [a_truth().record("b")])
        with pytest.raises(TokenLost):
            await store.save(MODEL, [a_truth(7).record("b", token)])
        assert await truths(store, ["a", "b"]) == [a_truth(), a_truth()]

    async def test_a_thousand_sessions_at_once(self, store: SessionStore) -> None:
        """A large batch is saved and loaded whole and in order."""
        names = [f"series-{at}" for at in range(1_000)]
        tokens = await store.save(MODEL, [a_truth(at + 1).record(name) for at, name in enumerate(names)])
        assert len(tokens) == 1_000
        loaded = await store.load(MODEL, names[::-1])
        assert [truth_of(record).position for record in loaded] == list(range(1_000, 0, -1))
        assert await store.count(MODEL) == 1_000

    async def test_saving_nothing_is_nothing(self, store: SessionStore) -> None:
        """An empty save succeeds."""
        assert await store.save(MODEL, []) == []
        assert await store.count(MODEL) == 0


class TestModels:
    """Models share a store and nothing else."""

    async def test_one_models_sessions_are_not_anothers(self, store: SessionStore) -> None:
        """The same id names a session of each model."""
        await store.save(MODEL, [a_truth(1).record("a"), a_truth(2).record("b")])
        await store.save(OTHER_MODEL, [a_truth(3).record("a")])
        assert await truths(store, ["a"]) == [a_truth(1)]
        assert await truths(store, ["a"], OTHER_MODEL) == [a_truth(3)]
        assert (await store.count(MODEL), await store.count(OTHER_MODEL)) == (2, 1)
        counts = [await store.count(MODEL, prefix) for prefix in ("a", "b", "ab", "c", "é")]
        assert counts == [1, 1, 0, 0, 0]
        assert await everything(store, model=OTHER_MODEL) == ["a"]
        assert await store.delete(OTHER_MODEL, "a")
        assert not await store.delete(OTHER_MODEL, "b")
        assert await store.expire(OTHER_MODEL, START_S + 1) == []
        assert await truths(store, ["a", "b"]) == [a_truth(1), a_truth(2)]


class TestEnd:
    """`delete`, `expire`, and the time to live."""

    async def test_a_deleted_session_is_gone_for_everybody(self, store: SessionStore) -> None:
        """Deletion is told, once, and the token of before is worth nothing even when the id comes back."""
        (token,) = await store.save(MODEL, [a_truth().record("a")])
        assert await store.delete(MODEL, "a")
        assert not await store.delete(MODEL, "a")
        assert await store.load(MODEL, ["a"]) == [None]
        assert (await store.count(MODEL), await everything(store)) == (0, [])
        with pytest.raises(TokenLost):
            await store.save(MODEL, [a_truth(4).record("a", token)])
        await store.save(MODEL, [a_truth(1).record("a")])
        with pytest.raises(TokenLost):
            await store.save(MODEL, [a_truth(4).record("a", token)])
        assert await truths(store, ["a"]) == [a_truth(1)]

    async def test_a_session_is_over_when_its_time_to_live_is(
        self, store: SessionStore, clock: HandClock
    ) -> None:
        """At the end of its time to live a session is there, after it is not."""
        await store.save(MODEL, [a_truth().record("a")])
        clock.now_s = START_S + TTL_S
        assert await truths(store, ["a"]) == [a_truth()]
        clock.now_s = START_S + TTL_S + 1
        assert await store.peek(MODEL, "a") is None
        assert await store.load(MODEL, ["a"]) == [None]

    async def test_use_prolongs_a_session(self, store: SessionStore, clock: HandClock) -> None:
        """The time to live counts from the last row."""
        (token,) = await store.save(MODEL, [a_truth().record("a")])
        used = replace(a_truth(4), used_at_s=START_S + TTL_S / 2)
        await store.save(MODEL, [used.record("a", token)])
        clock.now_s = START_S + TTL_S * 1.4
        assert await truths(store, ["a"]) == [used]

    async def test_expiry_ends_sessions_not_used_since(self, store: SessionStore) -> None:
        """Exactly the sessions that were last used before are ended, and named."""
        ages = {"old": 30.0, "older": 300.0, "oldest": 800.0, "new": 0.0}
        await store.save(
            MODEL,
            [replace(a_truth(), used_at_s=START_S - age).record(name) for name, age in ages.items()],
        )
        assert sorted(await store.expire(MODEL, START_S - 30.0)) == ["older", "oldest"]
        assert sorted(await everything(store)) == ["new", "old"]
        assert await store.count(MODEL) == 2
        assert await store.load(MODEL, ["older"]) == [None]


class TestPages:
    """`page` and `count`."""

    async def test_pages_hold_every_session_once(self, store: SessionStore) -> None:
        """However long a page is, all of them together are all sessions."""
        names = {f"s{at:03}" for at in range(50)}
        await store.save(MODEL, [a_truth().record(name) for name in sorted(names)])
        for limit in (1, 7, 49, 50, 51):
            found = await everything(store, limit=limit)
            assert sorted(found) == sorted(names), limit
        assert [len((await store.page(MODEL, "", "", limit))[0]) for limit in (50, 51)] == [50, 50]
        assert (await store.page(MODEL, "", "", 50))[1] == "", "nothing comes after the last"

    async def test_a_prefix_chooses(self, store: SessionStore) -> None:
        """Only ids that begin with the prefix are listed, also where it ends at the last code point."""
        await store.save(MODEL, [a_truth().record(name) for name in IDS])
        for prefix in ("a", "a\0", "é", "日", "😀/%", "\U0010ffff", "x" * 499, "zz"):
            expected = sorted(name for name in IDS if name.startswith(prefix))
            assert sorted(await everything(store, prefix)) == expected, prefix

    async def test_a_session_that_stays_is_listed_once(self, store: SessionStore) -> None:
        """Sessions that come and go between pages neither hide nor double the others."""
        staying = [f"s{at:02}" for at in range(20)]
        await store.save(MODEL, [a_truth().record(name) for name in staying])
        found, after = await store.page(MODEL, "", "", 5)
        listed = [each.session_id for each in found]
        at = 0
        while after:
            await store.save(MODEL, [a_truth().record(f"{name}{at}") for name in ("s00", "s10", "zz", "a")])
            await store.delete(MODEL, f"s10{at - 1}")
            await store.save(MODEL, [a_truth(50).record("s15"), a_truth(60).record("s01")])
            found, after = await store.page(MODEL, "", after, 5)
            listed += [each.session_id for each in found]
            at += 1
        assert sorted(name for name in listed if name in staying) == staying

    async def test_a_page_describes_its_sessions(self, store: SessionStore) -> None:
        """A listed session has its digest, position and times."""
        await store.save(MODEL, [a_truth(7).record("a")])
        ((listed,), after) = await store.page(MODEL, "", "", 10)
        found = (listed.digest, listed.position, listed.last_time_us, listed.used_at_s)
        assert found == (a_truth().digest, 7, a_truth().last_time_us, START_S)
        assert after == ""

    async def test_a_page_leaves_out_what_is_over(self, store: SessionStore, clock: HandClock) -> None:
        """A session whose time to live is over is not listed, though nobody has ended it yet."""
        await store.save(
            MODEL,
            [a_truth().record("a"), replace(a_truth(), used_at_s=START_S + 500).record("b")],
        )
        clock.now_s = START_S + TTL_S + 1
        assert await everything(store, limit=1) == ["b"]


class TestLife:
    """From opening to closing."""

    async def test_an_empty_store_is_empty(self, store: SessionStore) -> None:
        """Nothing is recovered, listed, counted or behind where nothing was stored."""
        recovered = await store.recover(MODEL, 2)
        assert isinstance(recovered, Recovered)
        assert (len(recovered.records), len(recovered.tail)) == (0, 0)
        assert await store.behind(MODEL, 10) == []
        assert await everything(store) == []

    async def test_what_was_saved_outlives_the_store(
        self, kind: StoreKind, backing: Backing, clock: HandClock
    ) -> None:
        """A durable store that was closed and opened again has every session and goes on with it."""
        if not kind.is_durable:
            pytest.skip("not durable")
        first = backing.open(clock)
        await first.save(MODEL, [a_truth().record("a"), a_truth(4).record("b")])
        await first.delete(MODEL, "b")
        await first.close()
        second = backing.open(clock)
        assert (await second.recover(MODEL, 2)).tail in ((), [])
        loaded = await load_one(second, "a")
        await second.save(MODEL, [a_truth(5).record("a", loaded.token)])
        assert await truths(second, ["a"]) == [a_truth(5)]
        assert await second.load(MODEL, ["b"]) == [None]
        await second.close()

    async def test_closing_twice_is_closing(self, store: SessionStore) -> None:
        """A second close does nothing."""
        await store.close()
        await store.close()
