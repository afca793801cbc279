"""What every durable store does with batches of rows. The stores are those of `store_cases.STORES`."""

from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from service.errors import TokenLost
from service.store.contract import NO_TIME, SessionStore
from tests.contract.store_cases import (
    MODEL,
    NUM_FEATURES,
    OTHER_DIGEST,
    OTHER_MODEL,
    START_S,
    STORES,
    TTL_S,
    Backing,
    Entry,
    HandClock,
    Truth,
    a_truth,
    begin,
    caught_up,
    changes,
    commit,
    load_one,
    truth_of,
    truths,
)

DURABLE = [kind for kind in STORES if kind.is_durable]
pytestmark = pytest.mark.parametrize("kind", DURABLE, ids=lambda kind: kind.name, indirect=True)


async def reopened(backing: Backing, store: SessionStore, clock: HandClock) -> SessionStore:
    """The store after a restart of its process."""
    await store.close()
    return backing.open(clock)


async def standing(store: SessionStore, session_ids: list[str]) -> dict[str, Truth]:
    """Where sessions stand after a restart, as a server has them: what is recovered, and what is loaded."""
    stands = caught_up(await store.recover(MODEL, NUM_FEATURES))
    assert stands.keys() <= set(session_ids)
    for session_id in session_ids:
        if session_id not in stands:
            stands[session_id] = truth_of(await load_one(store, session_id))
    return stands


@pytest.fixture
async def held(store: SessionStore) -> AsyncIterator[dict[str, Entry]]:
    """Three sessions of one row, by id: the entries to go on from."""
    return {entry.session_id: entry for entry in await begin(store, ["a", "b", "c"])}


class TestCommit:
    """`commit` of sessions that are whose they should be."""

    async def test_rows_are_there_for_whoever_loads(self, store: SessionStore) -> None:
        """A batch of new sessions is stored, and the next one onto it."""
        entries = [Entry("a", [1.0, 2.0], last_time_us=5), Entry("b", [np.nan]), Entry("c", [7.0])]
        committed = await commit(store, entries)
        assert list(committed.refused) == []
        onto = [entry.next(token, 10.0, 20.0) for entry, token in zip(entries, committed.tokens, strict=True)]
        committed = await commit(store, onto[:2], at_s=START_S + 9)
        assert list(committed.refused) == []
        expected = [onto[0].then(START_S + 9), onto[1].then(START_S + 9), entries[2].then(START_S)]
        assert await truths(store, ["a", "b", "c"]) == expected
        assert [truth_of(each) for each in await store.load(MODEL, ["c", "a", "b"])] == [
            expected[2],
            expected[0],
            expected[1],
        ]

    async def test_a_token_is_good_for_commit_after_commit(self, store: SessionStore) -> None:
        """Each commit returns the token for the next; one batch of one row after the other adds up."""
        (entry,) = await begin(store, ["a"])
        for at in range(20):
            entry = replace(entry, values=[float(at)])
            committed = await commit(store, [entry])
            assert list(committed.refused) == []
            entry = entry.next(int(committed.tokens[0]))
        assert await truths(store, ["a"]) == [entry.was]
        assert entry.was.total == 2 * 1.0 + 2 * sum(range(20))

    async def test_a_position_may_move_without_rows(
        self, store: SessionStore, held: dict[str, Entry]
    ) -> None:
        """Rows that were dropped move the position and step nothing, beside others that step."""
        entries = [
            replace(held["a"], num_dropped=5),
            replace(held["b"], values=[3.0], num_dropped=2),
            held["c"],
        ]
        assert list((await commit(store, entries)).refused) == []
        assert await truths(store, ["a", "b", "c"]) == [entry.then(START_S) for entry in entries]

    async def test_a_time_stays_where_a_batch_has_none(self, store: SessionStore) -> None:
        """The last time is that of the last row that had one."""
        committed = await commit(store, [Entry("a", [1.0], last_time_us=77), Entry("b", [1.0])])
        batch = changes([Entry("a", [2.0], was=Truth(1), token=int(committed.tokens[0]))])
        assert batch.last_times_us.tolist() == [NO_TIME]
        # Told anew, as a server does that knows it.
        batch = replace(batch, last_times_us=np.array([77]))
        assert list((await store.commit(MODEL, batch)).refused) == []
        assert [each.last_time_us for each in await truths(store, ["a", "b"])] == [77, NO_TIME]

    async def test_a_loaded_session_goes_on(self, store: SessionStore, held: dict[str, Entry]) -> None:
        """The token of a load commits, and that of before does not."""
        loaded = await load_one(store, "a")
        mine = replace(held["a"], values=[5.0], token=loaded.token)
        theirs = replace(held["a"], values=[9.0])
        assert list((await commit(store, [theirs])).refused) == [0]
        assert list((await commit(store, [mine])).refused) == []
        assert await truths(store, ["a"]) == [mine.then(START_S)]

    async def test_a_peek_leaves_a_token_good(self, store: SessionStore, held: dict[str, Entry]) -> None:
        """Whoever looks does not take the session from whoever has it."""
        assert truth_of(await store.peek(MODEL, "a")) == held["a"].was
        assert list((await commit(store, [replace(held["a"], values=[5.0])])).refused) == []

    async def test_a_saved_session_goes_on(self, store: SessionStore) -> None:
        """Rows come after an imported session's states, and are there beside them."""
        (token,) = await store.save(MODEL, [a_truth(40).record("a")])
        entry = Entry("a", [1.0, 2.0], was=a_truth(40), token=token)
        assert list((await commit(store, [entry])).refused) == []
        assert await truths(store, ["a"]) == [entry.then(START_S)]

    async def test_a_batch_may_be_a_thousand_sessions_or_one(self, store: SessionStore) -> None:
        """Sessions are told apart in large batches of uneven lengths, opened before and new."""
        some = await begin(store, [f"s{at}" for at in range(0, 1_000, 2)])
        batch = [replace(entry, values=[1.0] * (at % 4)) for at, entry in enumerate(some)]
        batch += [Entry(f"s{at}", [float(at)] * 3) for at in range(1, 1_000, 2)]
        batch.sort(key=lambda entry: int(entry.session_id[1:]))
        assert list((await commit(store, batch)).refused) == []
        assert await truths(store, [entry.session_id for entry in batch]) == [
            entry.then(START_S) for entry in batch
        ]
        assert await store.count(MODEL) == 1_000

    async def test_models_do_not_meet(self, store: SessionStore, held: dict[str, Entry]) -> None:
        """The same id in two models is two sessions, in commits too, and a token is of one model."""
        stolen = replace(held["a"], values=[5.0])
        assert list((await store.commit(OTHER_MODEL, changes([stolen]))).refused) == [0]
        assert list((await store.commit(OTHER_MODEL, changes([Entry("a", [8.0])]))).refused) == []
        assert await truths(store, ["a"]) == [held["a"].was]
        assert await truths(store, ["a"], OTHER_MODEL) == [Entry("a", [8.0]).then(START_S)]


class TestRefusal:
    """`commit` of sessions that are not: nothing of theirs is changed."""

    async def test_a_position_that_is_not_the_sessions_is_refused(
        self, store: SessionStore, held: dict[str, Entry]
    ) -> None:
        """A row can neither be stored twice nor left out, and the neighbours are stored."""
        again = replace(held["a"], was=Truth(0), values=[1.0])
        ahead = replace(held["b"], was=Truth(5), values=[1.0])
        good = replace(held["c"], values=[1.0])
        committed = await commit(store, [again, good, ahead])
        assert sorted(committed.refused) == [0, 2]
        assert await truths(store, ["a", "b", "c"]) == [held["a"].was, held["b"].was, good.then(START_S)]
        # The same batch once more: now the good one has moved on as well.
        good = replace(good, token=int(committed.tokens[1]))
        assert sorted((await commit(store, [again, good, ahead])).refused) == [0, 1, 2]

    async def test_a_refused_entrys_token_stays_good(
        self, store: SessionStore, held: dict[str, Entry]
    ) -> None:
        """Who was refused for a position and has the session still can commit from the right one."""
        await commit(store, [replace(held["a"], was=Truth(7), values=[1.0])])
        right = replace(held["a"], values=[1.0])
        assert list((await commit(store, [right])).refused) == []
        assert await truths(store, ["a"]) == [right.then(START_S)]

    async def test_a_new_session_whose_id_is_taken_is_refused(
        self, store: SessionStore, held: dict[str, Entry]
    ) -> None:
        """Of two that open a session one has it; the other loads it."""
        fresh = Entry("z", [4.0])
        committed = await commit(store, [Entry("a", [9.0]), fresh])
        assert list(committed.refused) == [0]
        assert await truths(store, ["a", "z"]) == [held["a"].was, fresh.then(START_S)]

    async def test_a_new_session_begins_at_its_beginning(self, store: SessionStore) -> None:
        """Rows that go on from a session nobody has are refused."""
        assert list((await commit(store, [Entry("a", [1.0], was=Truth(3))])).refused) == [0]
        assert await store.load(MODEL, ["a"]) == [None]
        assert await store.count(MODEL) == 0

    async def test_a_deleted_sessions_token_is_worth_nothing(
        self, store: SessionStore, held: dict[str, Entry]
    ) -> None:
        """Rows for a deleted session are refused, and for another of its id too."""
        onto = replace(held["a"], values=[2.0])
        assert await store.delete(MODEL, "a")
        assert list((await commit(store, [onto])).refused) == [0]
        assert list((await commit(store, [Entry("a", [1.0])])).refused) == []
        assert list((await commit(store, [onto])).refused) == [0]
        assert await truths(store, ["a"]) == [Entry("a", [1.0]).then(START_S)]

    async def test_a_replaced_sessions_token_is_worth_nothing(
        self, store: SessionStore, held: dict[str, Entry]
    ) -> None:
        """An import in a session's place takes it from whoever had it, at the same position too."""
        await store.save(MODEL, [replace(held["a"].was, total=50.0).record("a")])
        assert list((await commit(store, [replace(held["a"], values=[2.0])])).refused) == [0]
        assert (await truths(store, ["a"]))[0].total == 50.0

    async def test_a_batch_of_strangers_changes_nothing(self, store: SessionStore) -> None:
        """Tokens that nobody gave are refused, whatever number they are."""
        entries = [Entry("a", [1.0], token=token) for token in (1, 2**33 + 1, 2**62, -1, -(2**63))]
        entries = [replace(entry, session_id=f"s{at}") for at, entry in enumerate(entries)]
        assert sorted((await commit(store, entries)).refused) == [0, 1, 2, 3, 4]
        assert await store.count(MODEL) == 0


class TestCheckpoints:
    """`save` between commits."""

    async def test_a_checkpoint_changes_nothing(self, store: SessionStore, held: dict[str, Entry]) -> None:
        """States saved at the committed position leave the session as it stands, and rows go on."""
        entry = replace(held["a"], values=[5.0])
        token = int((await commit(store, [entry])).tokens[0])
        (token,) = await store.save(MODEL, [entry.then(START_S).record("a", token)])
        assert await truths(store, ["a"]) == [entry.then(START_S)]
        onto = entry.next(token, 8.0)
        assert list((await commit(store, [onto])).refused) == []
        assert await truths(store, ["a"]) == [onto.then(START_S)]

    async def test_an_overtaken_checkpoint_loses_no_row(
        self, store: SessionStore, held: dict[str, Entry]
    ) -> None:
        """States that were read before the last commit and saved after it take no row back."""
        entry = replace(held["a"], values=[5.0])
        token = int((await commit(store, [entry])).tokens[0])
        (token,) = await store.save(MODEL, [held["a"].was.record("a", token)])
        assert await truths(store, ["a"]) == [entry.then(START_S)]
        onto = entry.next(token, 8.0)
        assert list((await commit(store, [onto])).refused) == []
        assert await truths(store, ["a"]) == [onto.then(START_S)]

    async def test_sessions_saved_at_different_times_load_together(
        self, store: SessionStore, held: dict[str, Entry]
    ) -> None:
        """One was saved long ago and one just now: each has its own rows."""
        await store.save(MODEL, [held["b"].was.record("b", held["b"].token)])
        batch = [replace(held[name], values=[5.0]) for name in "ab"]
        tokens = (await commit(store, batch)).tokens.tolist()
        (token,) = await store.save(MODEL, [batch[1].then(START_S).record("b", tokens[1])])
        later = batch[1].next(token, 6.0, 7.0)
        assert list((await commit(store, [later])).refused) == []
        loaded = await store.load(MODEL, ["b", "a"])
        assert [truth_of(each) for each in loaded] == [later.then(START_S), batch[0].then(START_S)]

    async def test_a_reset_session_starts_at_nothing(
        self, store: SessionStore, held: dict[str, Entry]
    ) -> None:
        """No row of before a reset comes back, and the rows after it count from position 0."""
        (token,) = await store.save(MODEL, [Truth().record("a", held["a"].token)])
        assert await truths(store, ["a"]) == [Truth()]
        onto = Entry("a", [8.0], token=token)
        assert list((await commit(store, [onto])).refused) == []
        assert await truths(store, ["a"]) == [onto.then(START_S)]

    async def test_a_lost_session_is_not_saved(self, store: SessionStore, held: dict[str, Entry]) -> None:
        """Whoever lost a session to a load cannot put old states in its place."""
        await store.load(MODEL, ["a"])
        with pytest.raises(TokenLost):
            await store.save(MODEL, [held["a"].was.record("a", held["a"].token)])

    async def test_rows_of_another_model_file_make_the_session_its_own(
        self, store: SessionStore, held: dict[str, Entry]
    ) -> None:
        """A session whose rows another digest stepped is that digest's, as it stepped them."""
        entries = [replace(held["a"], values=[5.0]), replace(held["b"], values=[6.0]), Entry("new", [1.0])]
        committed = await commit(store, entries, digest=OTHER_DIGEST)
        assert list(committed.refused) == []
        assert await truths(store, ["a", "b", "new"]) == [
            entry.then(START_S, OTHER_DIGEST) for entry in entries
        ]
        onto = replace(
            entries[0].next(int(committed.tokens[0]), 7.0), was=entries[0].then(START_S, OTHER_DIGEST)
        )
        assert list((await commit(store, [onto], digest=OTHER_DIGEST)).refused) == []
        assert await truths(store, ["a", "c"]) == [onto.then(START_S, OTHER_DIGEST), held["c"].was]


class TestListing:
    """`page`, `expire` and the time to live, of sessions whose rows are newer than their states."""

    async def test_a_page_tells_the_committed_position(
        self, store: SessionStore, held: dict[str, Entry]
    ) -> None:
        """A listed session stands where its last row left it."""
        entry = replace(held["b"], values=[5.0, 6.0], last_time_us=99_000_000)
        await commit(store, [entry], at_s=START_S + 5)
        listed, _ = await store.page(MODEL, "b", "", 10)
        (found,) = listed
        told = (found.position, found.last_time_us, found.used_at_s, found.digest)
        assert told == (3, 99_000_000, START_S + 5, entry.then(START_S).digest)

    async def test_a_commit_prolongs_a_session(
        self, store: SessionStore, held: dict[str, Entry], clock: HandClock
    ) -> None:
        """The time to live counts from the last commit: others end, this one stays and is listed."""
        await commit(store, [replace(held["b"], values=[5.0])], at_s=START_S + 600)
        assert sorted(await store.expire(MODEL, START_S + 300)) == ["a", "c"]
        clock.now_s = START_S + TTL_S + 1
        assert (await truths(store, ["b"]))[0].position == 2
        assert [each.session_id for each in (await store.page(MODEL, "", "", 10))[0]] == ["b"]

    async def test_an_expired_sessions_token_is_worth_nothing(
        self, store: SessionStore, held: dict[str, Entry]
    ) -> None:
        """Rows for a session that has expired are refused; its id begins anew."""
        assert sorted(await store.expire(MODEL, START_S + 1)) == ["a", "b", "c"]
        assert await store.count(MODEL) == 0
        assert list((await commit(store, [replace(held["a"], values=[5.0])])).refused) == [0]
        assert list((await commit(store, [Entry("a", [8.0])])).refused) == []
        assert await truths(store, ["a"]) == [Entry("a", [8.0]).then(START_S)]

    async def test_a_session_that_is_over_begins_anew(self, store: SessionStore, clock: HandClock) -> None:
        """After its time to live a session's id is free, though nobody has ended it yet."""
        (over,) = await begin(store, ["a"])
        clock.now_s = START_S + TTL_S + 1
        assert await store.load(MODEL, ["a"]) == [None]
        fresh = Entry("a", [8.0])
        assert list((await commit(store, [fresh], at_s=clock.now_s)).refused) == []
        assert list((await commit(store, [replace(over, values=[2.0])])).refused) == [0]
        assert await truths(store, ["a"]) == [fresh.then(clock.now_s)]


class TestRestart:
    """What was committed, after the store was closed and opened again."""

    async def test_every_committed_row_is_there(
        self, store: SessionStore, backing: Backing, clock: HandClock
    ) -> None:
        """Sessions saved never, before their last rows, and after them stand where they stood."""
        entries = {
            entry.session_id: entry for entry in await begin(store, ["never", "before", "after"], 1.0, 2.0)
        }
        await store.save(MODEL, [entries["before"].was.record("before", entries["before"].token)])
        batch = [replace(entry, values=[float(at), np.nan]) for at, entry in enumerate(entries.values())]
        committed = await commit(store, batch, at_s=START_S + 1)
        expected = {entry.session_id: entry.then(START_S + 1) for entry in batch}
        await store.save(MODEL, [expected["after"].record("after", int(committed.tokens[2]))])
        store = await reopened(backing, store, clock)
        assert await standing(store, list(expected)) == expected
        await store.close()

    async def test_a_recovered_session_goes_on(
        self, store: SessionStore, backing: Backing, clock: HandClock, held: dict[str, Entry]
    ) -> None:
        """The tokens of recovery commit from where the rows led, and a load's do later."""
        store = await reopened(backing, store, clock)
        recovered = await store.recover(MODEL, NUM_FEATURES)
        tokens = {record.session_id: record.token for record in recovered.records}
        if "a" not in tokens:
            tokens["a"] = (await load_one(store, "a")).token
        onto = replace(held["a"], token=tokens["a"], values=[3.0])
        assert list((await commit(store, [onto])).refused) == []
        assert await truths(store, ["a", "b"]) == [onto.then(START_S), held["b"].was]
        later = onto.next((await load_one(store, "a")).token, 4.0)
        assert list((await commit(store, [later])).refused) == []
        store = await reopened(backing, store, clock)
        assert (await standing(store, ["a", "b", "c"]))["a"] == later.then(START_S)
        await store.close()

    async def test_without_recovery_a_load_has_every_row(
        self, store: SessionStore, backing: Backing, clock: HandClock, held: dict[str, Entry]
    ) -> None:
        """Who does not ask for the journal's rows gets them with each session."""
        await commit(store, [replace(held["a"], values=[5.0])])
        store = await reopened(backing, store, clock)
        assert await truths(store, ["a", "b"]) == [
            replace(held["a"], values=[5.0]).then(START_S),
            held["b"].was,
        ]
        await store.close()

    async def test_what_has_ended_does_not_come_back(
        self, store: SessionStore, backing: Backing, clock: HandClock, held: dict[str, Entry]
    ) -> None:
        """Rows of a session that was deleted, reset or replaced are no other session's."""
        await store.delete(MODEL, "a")
        await commit(store, [Entry("a", [8.0])])
        await store.save(MODEL, [Truth().record("b", held["b"].token), a_truth(1).record("c")])
        expected = {"a": Entry("a", [8.0]).then(START_S), "b": Truth(), "c": a_truth(1)}
        store = await reopened(backing, store, clock)
        assert await standing(store, ["a", "b", "c"]) == expected
        await store.close()
