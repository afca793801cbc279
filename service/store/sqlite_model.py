"""One model's sessions in a store's file, as its thread knows them."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import structlog

from service.store import sqlite_journal, sqlite_records, sqlite_recovery
from service.store.contract import NO_TOKEN, Record, Recovered
from service.store.journal_tail import JournalTail
from service.store.known import KnownSessions, Slots
from service.store.sqlite_file import SqliteFile
from service.store.sqlite_numbers import Numbers
from service.store.sqlite_records import Row
from service.store.sqlite_recovery import Scan

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a session is over.

    Attributes:
        now_s: tells the seconds since 1970-01-01 UTC.
    """

    ttl_s: float
    now_s: Callable[[], float]

    def is_over(self, used_at_s: float) -> bool:
        """Whether a session that was last used then is over."""
        return self.now_s() - used_at_s > self.ttl_s


class SqliteModel:
    """What is known here agrees with the file: it is changed once a transaction has succeeded.

    Not thread-safe: the store's thread owns it.

    Attributes:
        number: the model's in the file.
        known: sessions that were named since the file was opened, and all that the journal is needed for.
        tail: batches in the journal.
        last: number of the last batch.
        scan: what the file said when it was opened.
        num_reserved_bytes: what a saved session's states took last.
    """

    def __init__(
        self, file: SqliteFile, numbers: Numbers, name: str, lifetime: Lifetime, known: KnownSessions
    ) -> None:
        """Knows what the journal says, and puts it into `known`, which knows nothing yet.

        Raises:
            StoreUnavailable: the file cannot be read now, or the journal is damaged so that nobody can tell
                whose rows are lost.
        """
        self.file, self.numbers, self.lifetime = file, numbers, lifetime
        self.number = numbers.model(name)
        self.known = known
        self.tail = JournalTail(self.known)
        self.num_reserved_bytes = 0
        with file.reading() as connection:
            scan = sqlite_recovery.scan(connection, self.number)
        self.last = scan.last
        self._report_loss(name, file.mark.read(self.number) - scan.last)
        self._mark_faults(scan)
        self._learn(scan)
        # Until anything else is done: what it says holds only as long.
        self.scan: Scan | None = scan

    @contextlib.contextmanager
    def writing(self, max_trimmed: int | None = None) -> Iterator[sqlite3.Connection]:
        """One transaction, which also takes out of the journal what is not needed any more.

        Raises:
            StoreUnavailable: whether it was stored is not known.
        """
        done = self.tail.done[:max_trimmed]
        with self.file.writing() as connection:
            sqlite_journal.trim(connection, self.number, done)
            yield connection
        del self.tail.done[: len(done)]

    def recovered(self) -> Recovered:
        """What the journal had beyond the states when the file was opened; once."""
        scan, self.scan = self.scan, None
        if scan is None:
            return Recovered()
        records = [
            self.record(row, token)
            for row, token in zip(scan.rows, self.known.tokens[: len(scan.rows)].tolist(), strict=True)
        ]
        return Recovered(records, [batch for _, batch in scan.batches if len(batch.index)])

    def record(self, row: Row, token: int = NO_TOKEN) -> Record:
        """A session as the table has it, in the contract's words."""
        return Record(
            row.session_id,
            self.numbers.digest_name(row.digest),
            row.position,
            row.last_time_us,
            row.states,
            row.recent,
            row.used_at_s,
            token,
        )

    def forget(self, session_ids: Sequence[str]) -> None:
        """Sessions that ended, or bear a fault: their tokens are worth nothing, their rows are not needed."""
        slots = [slot for slot in map(self.known.find, dict.fromkeys(session_ids)) if slot is not None]
        self.tail.release(np.array(slots, np.int64))
        for slot in slots:
            self.known.forget(slot)

    def used_at_s(self, session_id: str, saved_at_s: float) -> float:
        """When a session was used last; the table, which was told `saved_at_s`, may not know it yet."""
        slot = self.known.find(session_id)
        return saved_at_s if slot is None else max(saved_at_s, self.known.used_at_s.item(slot))

    def is_over(self, session_id: str, saved_at_s: float) -> bool:
        """Whether a session's time to live is over."""
        return self.lifetime.is_over(self.used_at_s(session_id, saved_at_s))

    def append(self, slots: Slots, num_rows: int) -> None:
        """A batch has gone into the journal, with the number behind `last`."""
        self.last += 1
        self.tail.append(self.last, slots, num_rows)
        self.file.mark.write(self.number, self.last)

    def _report_loss(self, name: str, num_lost: int) -> None:
        if num_lost > 0:
            _log.error(
                "acknowledged batches are gone: the store's file or its log was cut, or is an older one;"
                " sessions stand before them, and clients that send positions send them again",
                store=str(self.file.path),
                model=name,
                num_batches=num_lost,
            )
        self.file.mark.write(self.number, self.last)

    def _mark_faults(self, scan: Scan) -> None:
        if scan.faults:
            with self.file.writing() as connection:
                sqlite_records.mark(connection, [(row.key, why) for row, why in scan.faults])

    def _learn(self, scan: Scan) -> None:
        known = self.known
        slots = known.add_rows(scan.rows)
        known.take_over(slots)
        for number, batch in scan.batches:
            moved: Slots = slots[batch.index]
            self.tail.append(number, moved, len(batch.rows))
            known.positions[moved] = batch.after
            known.last_times_us[moved] = batch.last_times_us
            known.used_at_s[moved] = batch.at_s
