"""One `ModelInfer` request: its turn, the start of its sequences, its rows, and their end."""

import asyncio
from dataclasses import replace

import structlog

from service.clock import Clock
from service.errors import (
    DamagedState,
    InvalidRequest,
    SessionExists,
    StatecastError,
    StoreUnavailable,
    UnknownSession,
)
from service.rpc.inference import grpc_service_pb2 as pb
from service.rpc.oip import asked as asking
from service.rpc.oip import contract, response
from service.rpc.oip.advance import Outcome, advance
from service.rpc.oip.asked import Asked
from service.rpc.oip.contract import InferenceLimits
from service.rpc.oip.order import SequenceOrder
from service.rpc.oip.statistics import VersionStatistics
from service.rpc.single_rows import SingleRows
from service.security.caller import tenant
from service.sessions.info import SessionEvent
from service.sessions.worker import SessionWorker
from service.tenant import own_id

_log = structlog.get_logger()


class ModelInference:
    """The requests of one model. A sequence is a session: what is said of it here holds there too."""

    def __init__(
        self, worker: SessionWorker, rows: SingleRows, limits: InferenceLimits, clock: Clock
    ) -> None:
        self._worker, self._rows, self._limits, self._clock = worker, rows, limits, clock
        self._order = SequenceOrder()
        self._statistics: dict[tuple[str, int], VersionStatistics] = {}

    async def infer(self, request: pb.ModelInferRequest, deadline_s: float) -> pb.ModelInferResponse:
        """Answer a request, after those of its sequences that came before it.

        Raises:
            StatecastError: it was refused; nothing was applied.
        """
        times_s = [self._clock.monotonic_s()]
        try:
            asked, outcome = await self._infer(request, times_s, deadline_s)
        except Exception:
            self.of(self._worker.model.version).fail(self._clock.monotonic_s() - times_s[0])
            raise
        answer = response.message(request, asked, outcome, self._worker.model.manifest)
        times_s.append(self._clock.monotonic_s())
        num_advanced = len(asked.sequence_ids) - len(outcome.errors)
        self.of(outcome.version).succeed(num_advanced, outcome.batch, times_s, self._clock.wall_s())
        return answer

    def of(self, version: int) -> VersionStatistics:
        """What the tenant of this call is told of a version: its own requests alone are in it."""
        return self._statistics.setdefault((tenant().name, version), VersionStatistics())

    async def _infer(
        self, request: pb.ModelInferRequest, times_s: list[float], deadline_s: float
    ) -> tuple[Asked, Outcome]:
        """Appends to `times_s` when each stage ends."""
        worker, clock = self._worker, self._clock
        asked = self._read(request)
        times_s.append(clock.monotonic_s())
        worker.check_room(asked.num_rows, self._order.num_rows)
        deadline_s = min(deadline_s, times_s[0] + asked.options.timeout_s)
        turn = self._order.enter(asked.sequence_ids, asked.num_rows)
        try:
            await turn.come()
            await self._begin(asked)
            times_s.append(clock.monotonic_s())
            outcome = await advance(asked, worker, self._rows, deadline_s)
            times_s.append(clock.monotonic_s())
            if asked.options.is_end:
                await self._end(asked, outcome)
            return asked, outcome
        finally:
            turn.leave()

    def _read(self, request: pb.ModelInferRequest) -> Asked:
        worker = self._worker
        version = contract.check_version(worker, request.model_version, "model_version")
        asked = asking.read(request, worker.model.manifest, self._limits)
        if asked.options.is_start and version != worker.model.version:
            expected = f"{worker.model.version} or nothing: sequences begin with the version that is served"
            raise InvalidRequest("model_version", version, expected)
        whose = tenant()
        whose.take(asked.num_rows)
        if not whose.prefix:
            return asked
        return replace(asked, sequence_ids=[whose.key(name) for name in asked.sequence_ids])

    async def _begin(self, asked: Asked) -> None:
        """Begin the sequences anew that a request starts; without, they must be there."""
        missing = []
        for index, name in enumerate(asked.sequence_ids):
            if index in asked.errors:
                continue
            is_in_memory = self._worker.table.find_or_none(name) is not None
            if asked.options.is_start or not is_in_memory:
                missing.append(index)
        if not missing:
            return
        results = await asyncio.gather(
            *(self._begin_one(asked.sequence_ids[index], asked) for index in missing), return_exceptions=True
        )
        for index, error in zip(missing, results, strict=True):
            if isinstance(error, StatecastError) and asked.is_many:
                asked.errors[index] = error
            elif error is not None:
                raise error

    async def _begin_one(self, name: str, asked: Asked) -> None:
        admin, is_open = self._worker.admin, await self._worker.admin.is_open(name)
        if not asked.options.is_start:
            if not is_open:
                expected = "a sequence that is open, or the START flag on the first request of the sequence"
                raise InvalidRequest("sequence_id", repr(own_id(name)), f"{expected} (sequence_start)")
            return
        if not is_open:
            return
        if asked.options.is_strict:
            raise SessionExists(self._worker.model.name, name)
        beginning = replace(admin.initial_record(name), used_at_s=self._clock.wall_s())
        try:
            await admin.write(beginning, replace=True, event=SessionEvent.RESET)
        except DamagedState:
            # What cannot be read can be ended, and its rows begin it.
            await admin.delete(name)

    async def _end(self, asked: Asked, outcome: Outcome) -> None:
        """Its rows are answered whatever comes of this: what is not ended now, a start or its age ends."""
        ended = [name for index, name in enumerate(asked.sequence_ids) if index not in outcome.errors]
        deletions = (self._worker.admin.delete(name) for name in ended)
        for error in await asyncio.gather(*deletions, return_exceptions=True):
            if isinstance(error, StoreUnavailable):
                _log.warning("a sequence could not be ended", reason=error.reason)
            elif isinstance(error, BaseException) and not isinstance(error, UnknownSession):
                raise error
