"""Puts a batch into the journal."""

import sqlite3
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.store import sqlite_journal, sqlite_records
from service.store.contract import NO_TIME, NO_TOKEN, Changes, Committed
from service.store.journal import JournalBatch
from service.store.known import Integers, Slots
from service.store.sqlite_model import SqliteModel
from service.store.sqlite_records import Row, new_row

Mask = npt.NDArray[np.bool_]
States = npt.NDArray[np.uint8]

# Batches that a commit, which somebody waits for, takes out of the journal by the way.
_MAX_TRIMMED = 8


@dataclass(frozen=True, eq=False, slots=True)
class _Plan:
    """What becomes of a batch's N sessions.

    Attributes:
        keys: (N,) in the file; those of new ones once they are there.
        last_times_us: (N,) what they stand at then.
        is_journalled: (N,) their rows go into the journal.
        is_rewritten: (N,) their states are saved instead: the rows were stepped by another model file than
            the saved states are of, and would be stepped again by that one.
        maybe_new: those to open, where nobody has their ids.
    """

    digest: int
    slots: Slots
    keys: Integers
    last_times_us: Integers
    is_journalled: Mask
    is_rewritten: Mask
    maybe_new: Integers


def commit(model: SqliteModel, changes: Changes, states: States | None) -> Committed:
    """See `SessionStore`.

    Args:
        states: (N, state bytes) after the batch; None where no session seemed to pass to another digest. One
            that does then is refused.
    """
    model.known.make_room()
    plan = _plan(model, changes, states is not None)
    if not (plan.is_journalled.any() or plan.is_rewritten.any() or len(plan.maybe_new)):
        return _refuse_all(changes)
    with model.writing(_MAX_TRIMMED) as connection:
        new = _open(connection, model, changes, plan)
        plan.is_journalled[new] = True
        batch = JournalBatch(
            plan.keys, changes.before, changes.after, plan.last_times_us, changes.num_steps, changes.rows
        ).select(plan.is_journalled)
        if len(batch.keys):
            sqlite_journal.write(connection, model.number, model.last + 1, changes.at_s, batch)
        if states is not None:
            sqlite_records.update(connection, _rewritten(changes, plan, states))
    return _learn(model, changes, plan, new, len(batch.rows))


def _plan(model: SqliteModel, changes: Changes, has_states: bool) -> _Plan:
    known = model.known
    digest = model.numbers.digest(changes.digest)
    slots, is_held = known.held(changes.tokens)
    is_held &= known.positions[slots] == changes.before
    is_foreign = is_held & (known.digests[slots] != digest)
    keeps_time = is_held & (changes.last_times_us == NO_TIME)
    return _Plan(
        digest=digest,
        slots=slots,
        keys=known.keys[slots],
        last_times_us=np.where(keeps_time, known.last_times_us[slots], changes.last_times_us),
        is_journalled=is_held & ~is_foreign,
        is_rewritten=is_foreign & has_states,
        maybe_new=np.flatnonzero((changes.tokens == NO_TOKEN) & (changes.before == 0)),
    )


def _open(connection: sqlite3.Connection, model: SqliteModel, changes: Changes, plan: _Plan) -> Integers:
    """Open the new sessions whose ids nobody has, in their initial states; returns which these are."""
    if not len(plan.maybe_new):
        return plan.maybe_new
    new = [at for at in plan.maybe_new.tolist() if _is_vacant(connection, model, changes.session_ids[at])]
    plan.keys[new] = model.numbers.keys(len(new))
    rows = [
        new_row(key, changes.session_ids[at], plan.digest, changes.at_s)
        for at, key in zip(new, plan.keys[new].tolist(), strict=True)
    ]
    sqlite_records.put(connection, model.number, rows, model.num_reserved_bytes)
    return np.array(new, np.int64)


def _is_vacant(connection: sqlite3.Connection, model: SqliteModel, session_id: str) -> bool:
    found = sqlite_records.find_use(connection, model.number, session_id)
    return found is None or model.is_over(session_id, found[1])


def _rewritten(changes: Changes, plan: _Plan, states: States) -> list[Row]:
    return [
        Row(
            key=int(plan.keys[at]),
            session_id=changes.session_ids[at],
            digest=plan.digest,
            position=int(changes.after[at]),
            last_time_us=int(plan.last_times_us[at]),
            used_at_s=changes.at_s,
            states=states[at].tobytes(),
        )
        for at in np.flatnonzero(plan.is_rewritten).tolist()
    ]


def _learn(model: SqliteModel, changes: Changes, plan: _Plan, new: Integers, num_rows: int) -> Committed:
    known = model.known
    tokens = changes.tokens.copy()
    if len(new):
        ids = [changes.session_ids[at] for at in new.tolist()]
        # Those of before whose time is over.
        model.forget(ids)
        plan.slots[new] = known.add(ids, plan.keys[new], plan.digest, 0, NO_TIME, changes.at_s)
        tokens[new] = known.take_over(plan.slots[new])
    if plan.is_journalled.any():
        model.append(plan.slots[plan.is_journalled], num_rows)
    rewritten = plan.slots[plan.is_rewritten]
    model.tail.release(rewritten)
    known.digests[rewritten] = plan.digest
    is_stored = plan.is_journalled | plan.is_rewritten
    stored = plan.slots[is_stored]
    known.positions[stored] = changes.after[is_stored]
    known.last_times_us[stored] = plan.last_times_us[is_stored]
    known.used_at_s[stored] = changes.at_s
    return Committed(tokens, np.flatnonzero(~is_stored).tolist())


def _refuse_all(changes: Changes) -> Committed:
    return Committed(changes.tokens, range(len(changes.session_ids)))
