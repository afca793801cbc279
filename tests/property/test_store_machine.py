"""Every store against a dict, through any order of calls. The stores are those of `store_cases.STORES`."""

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from service.errors import TokenLost
from service.store.contract import NO_TIME, NO_TOKEN, Record
from tests.contract.store_cases import (
    DIGEST,
    MODEL,
    NUM_FEATURES,
    OTHER_DIGEST,
    STORES,
    TTL_S,
    Entry,
    HandClock,
    StoreKind,
    Truth,
    caught_up,
    commit,
    truth_of,
)

T = TypeVar("T")
NAMES = ("a", "ab", "b", "\u00e9", "z")

# What the examples must have met; a change that keeps them from it hides what this file is for.
MUST_SEE = {"saved", "imported", "reset", "save refused", "taken over", "deleted", "over", "paged", "expired"}
MUST_SEE_DURABLE = MUST_SEE | {
    "rows stored",
    "opened by rows",
    "refused for its token",
    "refused for its position",
    "refused beside stored",
    "digest changed",
    "checkpoint",
    "overtaken",
    "reopened",
    "recovered",
}


@dataclass
class Session:
    """One session of the dict.

    Attributes:
        token: good, or None where nobody has one.
        stale: tokens that were good.
        earlier: where it stood before its last commits.
    """

    truth: Truth
    token: int | None
    stale: list[int] = field(default_factory=list)
    earlier: list[Truth] = field(default_factory=list)


class Part(NamedTuple):
    """One session's part of a drawn commit. `wrong` is added to its position."""

    name: str
    move: tuple[list[float], int]
    is_stale: bool
    wrong: int


class Kept(NamedTuple):
    """One session's part of a drawn save."""

    name: str
    how: str
    position: int


VALUES = st.lists(st.sampled_from([1.0, 2.0, -0.5, float("nan"), 1e6]), max_size=4)
# (values, rows dropped); one or the other, as nobody commits nothing.
MOVES = st.tuples(VALUES, st.sampled_from([0, 0, 0, 3])).filter(lambda move: move[0] or move[1])
PARTS = st.lists(
    st.builds(
        Part,
        st.sampled_from(NAMES),
        MOVES,
        st.sampled_from([False] * 7 + [True]),
        st.sampled_from([0] * 7 + [1, -1]),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda part: part.name,
)
SAVES = st.lists(
    st.builds(
        Kept,
        st.sampled_from(NAMES),
        st.sampled_from(["checkpoint", "checkpoint", "overtaken", "import", "reset", "stale", "stale"]),
        st.integers(1, 50),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda kept: kept.name,
)
SOME_NAMES = st.lists(st.sampled_from(NAMES), min_size=1, unique=True)


class StoreMachine(RuleBasedStateMachine):
    """A store, and a dict that says what it must hold."""

    kind: StoreKind
    seen: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.runner = self.stack.enter_context(asyncio.Runner())
        self.backing = self.stack.enter_context(self.kind.make(Path(folder)))
        self.clock = HandClock()
        self.store = self.backing.open(self.clock)
        self.sessions: dict[str, Session] = {}

    def teardown(self) -> None:
        """Leave nothing."""
        with self.stack:
            self.run(self.store.close())

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """The outcome of a call."""
        return self.runner.run(call)

    @precondition(lambda self: self.kind.is_durable)
    @rule(parts=PARTS, digest=st.sampled_from([DIGEST] * 5 + [OTHER_DIGEST]))
    def commit(self, parts: list[Part], digest: str) -> None:
        """A batch in which some entries may be wrong: these are refused and change nothing."""
        self.commit_parts(parts, digest)

    def commit_parts(self, parts: list[Part], digest: str) -> None:
        """See `commit`."""
        self.clock.now_s += 1
        entries, refused = [], set()
        for part in parts:
            session = self.sessions.get(part.name)
            if session is not None and self.is_over(session) and session.token is None:
                # Whether a server has ended it yet is the server's to know.
                if self.kind.is_shared:
                    continue
                session = None
            entry, is_refused = self.entry(part, session)
            if is_refused:
                refused.add(len(entries))
            entries.append(entry)
        if not entries:
            return
        committed = self.run(commit(self.store, entries, self.clock.now_s, digest))
        assert set(committed.refused) == refused
        self.seen["refused beside stored"] += 0 < len(refused) < len(entries)
        for at, entry in enumerate(entries):
            if at not in refused:
                self.stored(entry, digest, int(committed.tokens[at]))

    @precondition(lambda self: self.kind.is_durable)
    @rule(names=SOME_NAMES, value=st.sampled_from([1.0, 4.0]))
    def go_on(self, names: list[str], value: float) -> None:
        """A row each for sessions that somebody has."""
        held = [name for name in names if name in self.sessions and self.sessions[name].token is not None]
        if held:
            self.commit_parts([Part(name, ([value], 0), False, 0) for name in held], DIGEST)

    def entry(self, part: Part, session: Session | None) -> tuple[Entry, bool]:
        """An entry as drawn, and whether it must be refused."""
        was = Truth() if session is None else session.truth
        token = NO_TOKEN if session is None else session.token
        is_refused = False
        if session is not None and (part.is_stale or token is None):
            # Whoever lost it, or believes that it is new.
            token, is_refused = (session.stale or [NO_TOKEN])[-1], True
            self.seen["refused for its token"] += 1
        elif part.wrong and was.position + part.wrong >= 0:
            was, is_refused = replace(was, position=was.position + part.wrong), True
            self.seen["refused for its position"] += 1
        values, num_dropped = part.move
        time_us = 1_000_000 * (was.position + len(values)) if values else NO_TIME
        assert token is not None
        return Entry(part.name, values, was, token, time_us, num_dropped), is_refused

    def stored(self, entry: Entry, digest: str, token: int) -> None:
        """An entry that the store has taken."""
        then = entry.then(self.clock.now_s, digest)
        if entry.token == NO_TOKEN:
            self.seen["opened by rows"] += 1
            self.sessions[entry.session_id] = Session(then, token)
            return
        session = self.sessions[entry.session_id]
        self.seen["rows stored"] += bool(entry.values)
        self.seen["digest changed"] += digest != session.truth.digest
        session.earlier.append(session.truth)
        session.truth = then
        self.take(session, token)

    @rule(saves=SAVES)
    def save(self, saves: list[Kept]) -> None:
        """Checkpoints, old checkpoints, imports, resets; where a token is lost, none of them."""
        self.clock.now_s += 1
        planned = [plan for kept in saves if (plan := self.plan(kept)) is not None]
        lost = [record.session_id for record, _, how in planned if how == "stale"]
        if lost and self.kind.is_spread:
            return
        try:
            tokens = self.run(self.store.save(MODEL, [record for record, _, _ in planned]))
        except TokenLost as error:
            assert sorted(error.session_ids) == sorted(lost)
            self.seen["save refused"] += 1
            return
        assert not lost
        for (record, truth, how), token in zip(planned, tokens, strict=True):
            self.seen[how] += 1
            session = self.sessions.setdefault(record.session_id, Session(truth, None))
            if how != "overtaken":
                session.truth, session.earlier = (
                    truth,
                    [] if how in ("imported", "reset") else session.earlier,
                )
            self.take(session, token)

    def plan(self, kept: Kept) -> tuple[Record, Truth, str] | None:
        """A record to save, where the session stands then, and what it is called."""
        session = self.sessions.get(kept.name)
        now_s = self.clock.now_s
        if kept.how == "import" or session is None:
            truth = Truth(kept.position, 7, kept.position * 2.0, kept.position, used_at_s=now_s)
            return truth.record(kept.name), truth, "imported"
        if kept.how == "stale":
            return (
                (session.truth.record(kept.name, session.stale[-1]), session.truth, "stale")
                if session.stale
                else None
            )
        if session.token is None:
            return None
        if kept.how == "reset":
            truth = Truth(digest=session.truth.digest, used_at_s=now_s)
            return truth.record(kept.name, session.token), truth, "reset"
        if kept.how == "overtaken":
            early = [each for each in session.earlier if 0 < each.position < session.truth.position]
            return (early[-1].record(kept.name, session.token), session.truth, "overtaken") if early else None
        how = "checkpoint" if session.earlier else "saved"
        return session.truth.record(kept.name, session.token), session.truth, how

    @rule(names=SOME_NAMES)
    def load(self, names: list[str]) -> None:
        """Sessions as they stand, taken from whoever had them."""
        for name, loaded in zip(names, self.run(self.store.load(MODEL, names)), strict=True):
            session = self.sessions.get(name)
            if session is None or self.is_over(session):
                self.seen["over"] += session is not None
                assert loaded is None
                if session is not None:
                    self.lose(session)
                continue
            assert truth_of(loaded) == session.truth
            assert isinstance(loaded, Record)
            assert loaded.token not in (NO_TOKEN, session.token, *session.stale)
            self.seen["taken over"] += session.token is not None
            self.take(session, loaded.token)

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        """A session is gone, and nobody's token is good any more."""
        session = self.sessions.get(name)
        is_over = session is not None and self.is_over(session)
        was_there = self.run(self.store.delete(MODEL, name))
        assert was_there == (session is not None) or is_over
        self.seen["deleted"] += was_there
        self.sessions.pop(name, None)

    @rule(seconds=st.sampled_from([1.0, TTL_S * 0.3, TTL_S * 0.6, TTL_S + 1]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.now_s += seconds

    @rule()
    def expire(self) -> None:
        """What is over may be ended, and nothing else."""
        over = {name for name, session in self.sessions.items() if self.is_over(session)}
        ended = set(self.run(self.store.expire(MODEL, self.clock.now_s - TTL_S)))
        assert ended <= over if self.kind.is_shared else ended == over
        self.seen["expired"] += bool(ended)
        for name in over:
            if name in ended:
                del self.sessions[name]
            else:
                self.lose(self.sessions[name])

    @rule(limit=st.integers(1, 4), prefix=st.sampled_from(["", "", "a"]))
    def page(self, limit: int, prefix: str) -> None:
        """Pages hold every living session once, as it stands."""
        found, after = [], None
        while after != "":
            listed, after = self.run(self.store.page(MODEL, prefix, after or "", limit))
            found += listed
        living = {
            name: session.truth
            for name, session in self.sessions.items()
            if name.startswith(prefix) and not self.is_over(session)
        }
        assert sorted(each.session_id for each in found) == sorted(living)
        for each in found:
            truth = living[each.session_id]
            told = (each.digest, each.position, each.last_time_us, each.used_at_s)
            assert told == (truth.digest, truth.position, truth.last_time_us, truth.used_at_s)
        self.seen["paged"] += len(found) > limit

    @precondition(lambda self: self.kind.is_durable)
    @rule(recovers=st.booleans())
    def reopen(self, recovers: bool) -> None:
        """A restart: what is recovered and what is loaded stands where it stood."""
        self.run(self.store.close())
        self.store = self.backing.open(self.clock)
        self.seen["reopened"] += 1
        for session in self.sessions.values():
            self.lose(session)
        if not recovers:
            return
        recovered = self.run(self.store.recover(MODEL, NUM_FEATURES))
        stands = caught_up(recovered)
        for record in recovered.records:
            session = self.sessions[record.session_id]
            assert stands[record.session_id] == session.truth
            self.take(session, record.token)
            self.seen["recovered"] += 1

    @invariant()
    def nothing_is_lost(self) -> None:
        """Whoever looks sees what the dict says."""
        found_count, *peeked = self.run(self.look())
        for name, found in zip(NAMES, peeked, strict=True):
            session = self.sessions.get(name)
            if session is None or self.is_over(session):
                assert found is None
            else:
                assert truth_of(found) == session.truth
        num_living = sum(not self.is_over(session) for session in self.sessions.values())
        assert num_living <= found_count <= len(self.sessions)

    async def look(self) -> tuple[Any, ...]:
        """The count, and a peek at each name."""
        peeks = [self.store.peek(MODEL, name) for name in NAMES]
        return await asyncio.gather(self.store.count(MODEL), *peeks)

    def is_over(self, session: Session) -> bool:
        """Whether its time to live is over."""
        return self.clock.now_s - session.truth.used_at_s > TTL_S

    def take(self, session: Session, token: int) -> None:
        """A token that is good from now on."""
        if session.token not in (None, token):
            session.stale.append(session.token)
        session.token = token

    def lose(self, session: Session) -> None:
        """Nobody is sure of its token any more."""
        session.token, session.stale = None, []


_SETTINGS = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
_MAX_SEEDS = 6


@pytest.mark.parametrize("kind", STORES, ids=lambda kind: kind.name)
def test_a_store_holds_what_a_dict_holds(kind: StoreKind) -> None:
    """After any calls, a store has every session that it should, as it should stand."""
    must_see = MUST_SEE_DURABLE if kind.is_durable else MUST_SEE
    if kind.is_shared:
        must_see = must_see - {"recovered"}
    if kind.is_spread:
        must_see = must_see - {"save refused"}
    seen: Counter[str] = Counter()
    # What a seed draws also depends on which modules are loaded: one seed may miss what is rare.
    for number in range(_MAX_SEEDS):
        machine = seed(number)(type("Machine", (StoreMachine,), {"kind": kind, "seen": seen}))
        run_state_machine_as_test(machine, settings=_SETTINGS)
        if must_see <= {name for name, times in seen.items() if times}:
            return
    pytest.fail(f"never met: {must_see - set(seen)}")
