"""The rows of a request through the worker: a single row with those of all other calls, more as a frame."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from service.engine.runner import Forecasts
from service.errors import StatecastError
from service.rpc.oip.asked import Asked
from service.rpc.single_rows import SingleRow, SingleRows
from service.sessions.frame import Frame, Integers
from service.sessions.worker import SessionWorker
from service.store.contract import NO_TIME
from service.telemetry.tracing import TRACE


@dataclass(eq=False, slots=True)
class Outcome:
    """What became of N sequences.

    Attributes:
        positions: (N,) rows consumed now, -1 where refused.
        forecast: (N, K, Q) float32 as they lie, NaN where refused; None where none was asked for.
        counts: of the only sequence, as `COUNTS` names them; zeros for many.
        errors: by index, why a sequence was refused.
        version: the newest that answered.
        batch: the worker's count of batches when the rows were settled.
    """

    positions: Integers
    forecast: bytes | None
    counts: Sequence[int]
    errors: dict[int, StatecastError]
    version: int
    batch: int


async def advance(asked: Asked, worker: SessionWorker, rows: SingleRows, deadline_s: float) -> Outcome:
    """Apply what `asked.errors` does not refuse. Cancelled before its batch begins, it applies nothing.

    Raises:
        StatecastError: the only sequence was refused; nothing was applied.
    """
    # Rows that are joined with other calls' have no trace of their own.
    if not asked.is_many and asked.values.shape[1] == 1 and TRACE.get() is None:
        return await _advance_row(asked, worker, rows, deadline_s)
    return await _advance_frame(asked, worker, rows, deadline_s)


class _Row(SingleRow):
    """The only row of a request, which waits for `done`."""

    __slots__ = ("done", "worker")

    done: "asyncio.Future[Outcome]"
    worker: SessionWorker

    def settled(self, position: int, forecast: bytes | None, counts: Sequence[int]) -> None:
        """See `SingleRow.settled`."""
        if not self.done.done():
            version, batch = self.worker.model_of(self.slot).version, self.worker.counts.batches
            outcome = Outcome(np.array([position]), forecast, counts, {}, version, batch)
            self.done.set_result(outcome)

    def refused(self, error: StatecastError) -> None:
        """See `SingleRow.refused`."""
        if not self.done.done():
            self.done.set_exception(error)


async def _advance_row(asked: Asked, worker: SessionWorker, rows: SingleRows, deadline_s: float) -> Outcome:
    slot = worker.table.resolve(asked.sequence_ids[0])
    time_us = NO_TIME if asked.times_us is None else asked.times_us.item(0)
    values = asked.values[0, 0].tolist()
    row = _Row(slot, asked.positions.item(0), time_us, values, asked.reply, deadline_s)
    row.done, row.worker = asyncio.get_running_loop().create_future(), worker
    rows.add(row)
    return await _settled(row.done, row.drop)


async def _advance_frame(asked: Asked, worker: SessionWorker, rows: SingleRows, deadline_s: float) -> Outcome:
    done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    # Rows that were collected came before these.
    rows.flush()
    slots, kept = _resolve(asked, worker)
    if not kept:
        return _outcome(asked, kept, None, worker)
    num_rows = asked.values.shape[1]
    times = None if asked.times_us is None else asked.times_us[kept].reshape(-1)

    def settled(frame: Frame) -> None:
        if not done.done():
            done.set_result(_outcome(asked, kept, frame, worker))

    frame = Frame(
        np.array(slots, np.int64),
        np.full(len(kept), num_rows, np.int64),
        asked.positions[kept],
        times,
        asked.values[kept].reshape(-1, asked.values.shape[2]),
        asked.reply,
        settled,
        deadline_s,
    )
    frame.trace = TRACE.get()
    worker.submit(frame)
    outcome = await _settled(done, frame.drop)
    if outcome.errors and not asked.is_many:
        raise outcome.errors[0]
    return outcome


def _resolve(asked: Asked, worker: SessionWorker) -> tuple[list[int], list[int]]:
    """Slots of the sequences that nothing refuses, and which those are."""
    slots, kept = [], []
    for index, name in enumerate(asked.sequence_ids):
        if index in asked.errors:
            continue
        try:
            slots.append(worker.table.resolve(name))
        except StatecastError as error:
            if not asked.is_many:
                raise
            asked.errors[index] = error
        else:
            kept.append(index)
    return slots, kept


async def _settled(done: "asyncio.Future[Outcome]", drop: Callable[[], None]) -> Outcome:
    try:
        return await done
    except asyncio.CancelledError:
        drop()
        raise


def _outcome(asked: Asked, kept: list[int], frame: Frame | None, worker: SessionWorker) -> Outcome:
    num = len(asked.sequence_ids)
    outcome = Outcome(np.full(num, -1, np.int64), None, (0, 0, 0), asked.errors, worker.model.version, 0)
    outcome.batch = worker.counts.batches
    manifest = worker.model.manifest
    wants_forecast = bool(asked.reply)
    if frame is not None:
        result = frame.result
        outcome.version = worker.newest_of(frame.slots)
        outcome.errors = asked.errors | {kept[entry]: error for entry, error in result.errors.items()}
        outcome.positions[kept] = result.positions
        outcome.positions[list(outcome.errors)] = -1
        if num == 1:
            outcome.counts = result.counts[:, 0].tolist()
    if wants_forecast:
        forecasts: Forecasts = np.full((num, manifest.horizon, manifest.num_columns), np.nan, np.float32)
        if frame is not None and frame.result.dense is not None:
            forecasts[kept] = frame.result.dense
            forecasts[list(outcome.errors)] = np.nan
        outcome.forecast = forecasts.tobytes()
    return outcome
