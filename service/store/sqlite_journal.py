"""The journal's table: batches written and read, damage told from rows."""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.store.journal import (
    EMPTY,
    Damaged,
    JournalBatch,
    decode_names,
    decode_rows,
    encode_names,
    encode_rows,
)
from service.store.sqlite_records import is_damage
from service.store.sqlite_schema import BATCH_BITS

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """A batch as the file has it.

    Attributes:
        number: the model's, counted from 1 without gaps.
        batch: None where it is damaged.
        keys, after: which sessions it moved and to where; None where that is not known either.
        fault: what is wrong with it, or "".
    """

    number: int
    at_s: float
    batch: JournalBatch | None
    keys: Integers | None = None
    after: Integers | None = None
    fault: str = ""


def write(connection: sqlite3.Connection, model: int, number: int, at_s: float, batch: JournalBatch) -> None:
    """Put a batch at the journal's end."""
    connection.execute(
        "INSERT INTO journal (number, at_s, names, rows) VALUES (?, ?, ?, ?)",
        (
            model << BATCH_BITS | number,
            at_s,
            encode_names(number, batch.keys, batch.after),
            encode_rows(number, batch),
        ),
    )


def trim(connection: sqlite3.Connection, model: int, numbers: Iterable[int]) -> None:
    """Take the oldest batches out, whose numbers ascend."""
    numbers = list(numbers)
    if not numbers:
        return
    connection.executemany(
        "DELETE FROM journal WHERE number = ?", ((model << BATCH_BITS | number,) for number in numbers)
    )
    connection.execute("UPDATE models SET trimmed = ? WHERE model = ?", (numbers[-1], model))


def give_up(connection: sqlite3.Connection, model: int, found: Found) -> None:
    """Put an empty batch in the place of one that cannot be read."""
    connection.execute("DELETE FROM journal WHERE number = ?", (model << BATCH_BITS | found.number,))
    write(connection, model, found.number, found.at_s, EMPTY)


def bounds(connection: sqlite3.Connection, model: int) -> tuple[int, int]:
    """Numbers of the model's first batch and its last; the last is below the first where there is none."""
    (trimmed,) = connection.execute("SELECT trimmed FROM models WHERE model = ?", (model,)).fetchone()
    (last,) = connection.execute(
        "SELECT max(number) FROM journal WHERE number BETWEEN ? AND ?",
        _range(model, 0, (1 << BATCH_BITS) - 1),
    ).fetchone()
    return trimmed + 1, trimmed if last is None else last & ((1 << BATCH_BITS) - 1)


def read(connection: sqlite3.Connection, model: int, first: int, last: int) -> Iterator[Found]:
    """Every batch from `first` to `last`, those that are damaged or missing too."""
    number = first
    while number <= last:
        rows = connection.execute(
            "SELECT number, at_s, names, rows FROM journal WHERE number BETWEEN ? AND ? ORDER BY number",
            _range(model, number, last),
        )
        try:
            for full_number, at_s, names, content in rows:
                there = full_number & ((1 << BATCH_BITS) - 1)
                yield from (Found(lost, 0.0, None, fault="it is missing") for lost in range(number, there))
                yield _found(there, at_s, names, content)
                number = there + 1
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            # Go on behind what cannot be read: the index leads to what comes after it.
            yield Found(number, 0.0, None, fault=f"the file is damaged there: {error}")
            number += 1
        else:
            yield from (Found(lost, 0.0, None, fault="it is missing") for lost in range(number, last + 1))
            return


def _found(number: int, at_s: float, names: bytes, content: bytes) -> Found:
    try:
        batch = decode_rows(number, content)
        return Found(number, at_s, batch, batch.keys, batch.after)
    except Damaged as damage:
        fault = str(damage)
    try:
        return Found(number, at_s, None, *decode_names(number, names), fault=fault)
    except Damaged:
        return Found(number, at_s, None, fault=fault)


def _range(model: int, first: int, last: int) -> tuple[int, int]:
    return model << BATCH_BITS | first, model << BATCH_BITS | last
