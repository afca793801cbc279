"""Puts sessions in whole."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from service.errors import TokenLost
from service.store import sqlite_records
from service.store.contract import NO_TOKEN, Record
from service.store.known import Slots
from service.store.sqlite_model import SqliteModel
from service.store.sqlite_records import Row


@dataclass(frozen=True, slots=True)
class _Plan:
    """What becomes of records, by their index; the others are old checkpoints and change nothing.

    Attributes:
        fresh: replace whatever bears the id, as another session: no row of the journal is theirs.
        current: states of sessions that have all their rows.
    """

    fresh: list[int] = field(default_factory=list)
    current: list[int] = field(default_factory=list)


def save(model: SqliteModel, records: Sequence[Record]) -> list[int]:
    """See `SessionStore`."""
    model.known.make_room()
    slots = _held(model, records)
    plan = _plan(model, records, slots)
    fresh_keys = model.numbers.keys(len(plan.fresh))
    fresh = [_row(model, records[at], key) for at, key in zip(plan.fresh, fresh_keys, strict=True)]
    current_keys = model.known.keys[slots[plan.current]].tolist()
    current = [_row(model, records[at], key) for at, key in zip(plan.current, current_keys, strict=True)]
    with model.writing() as connection:
        sqlite_records.put(connection, model.number, fresh)
        sqlite_records.update(connection, current)
    tokens = [record.token for record in records]
    for at, token in zip(plan.fresh, _replace(model, fresh), strict=True):
        tokens[at] = token
    _bring_up(model, slots[plan.current], current)
    return tokens


def _held(model: SqliteModel, records: Sequence[Record]) -> Slots:
    """The slots (N,) of records; of those without a token they mean nothing.

    Raises:
        TokenLost: tokens are not good any more.
    """
    slots, is_held = model.known.held(np.array([record.token for record in records], np.int64))
    lost = [
        record.session_id
        for record, slot, good in zip(records, slots.tolist(), is_held.tolist(), strict=True)
        if record.token != NO_TOKEN and not (good and model.known.ids[slot] == record.session_id)
    ]
    if lost:
        raise TokenLost(lost)
    return slots


def _plan(model: SqliteModel, records: Sequence[Record], slots: Slots) -> _Plan:
    plan = _Plan()
    for at, (record, stands_at) in enumerate(
        zip(records, model.known.positions[slots].tolist(), strict=True)
    ):
        if record.token == NO_TOKEN or record.position == 0 or record.position > stands_at:
            plan.fresh.append(at)
        elif record.position == stands_at:
            plan.current.append(at)
    return plan


def _row(model: SqliteModel, record: Record, key: int) -> Row:
    return Row(
        key,
        record.session_id,
        model.numbers.digest(record.digest),
        record.position,
        record.last_time_us,
        record.used_at_s,
        record.states,
        record.recent,
    )


def _replace(model: SqliteModel, rows: Sequence[Row]) -> list[int]:
    """Know sessions in the place of those that bore their ids; their tokens."""
    model.forget([row.session_id for row in rows])
    slots = model.known.add_rows(rows)
    tokens: list[int] = model.known.take_over(slots).tolist()
    return tokens


def _bring_up(model: SqliteModel, slots: Slots, rows: Sequence[Row]) -> None:
    """These sessions' states are up to date, whatever the journal has of them."""
    known = model.known
    model.tail.release(slots)
    known.digests[slots] = [row.digest for row in rows]
    known.last_times_us[slots] = [row.last_time_us for row in rows]
    known.used_at_s[slots] = [row.used_at_s for row in rows]
    if rows:
        model.num_reserved_bytes = len(rows[-1].states) + len(rows[-1].recent)
