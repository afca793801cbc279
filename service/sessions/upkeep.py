"""What is done for sessions while nobody asks: states saved behind the journal, upgrades, expiry."""

import asyncio

import structlog

from service.clock import Clock
from service.errors import StatecastError, StoreUnavailable, TokenLost
from service.sessions.versions import UpgradePolicy
from service.sessions.worker import SessionWorker

_log = structlog.get_logger()

# Short enough that a batch never waits long for one: some milliseconds of the store's time.
_SAVED_AT_ONCE = 128
_UPGRADED_AT_ONCE = 256
_EXPIRE_EVERY_S = 60.0


class Upkeep:
    """Looks after one model's sessions, a little at a time between its batches."""

    def __init__(self, worker: SessionWorker, ttl_s: float, clock: Clock) -> None:
        self._worker, self._ttl_s, self._clock = worker, ttl_s, clock
        self._expired_at_s = clock.monotonic_s()

    async def run(self, every_s: float = 0.5) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.once()
            except StatecastError as error:
                _log.warning("upkeep waits", model=self._worker.model.name, reason=str(error))
            await asyncio.sleep(every_s)

    async def once(self) -> None:
        """Everything that is due.

        Raises:
            StoreUnavailable: later, then.
        """
        # Sessions that the store did not take when they left memory are tried again, though no row comes.
        self._worker.wake()
        await self._save()
        while self._worker.residency.is_upgrading and await self._upgrade():
            pass
        self._unload()
        now_s = self._clock.monotonic_s()
        if now_s - self._expired_at_s > _EXPIRE_EVERY_S:
            self._expired_at_s = now_s
            await self._expire()

    async def _expire(self) -> None:
        worker = self._worker

        async def sweep() -> None:
            worker.table.sweep()

        await worker.between_batches(sweep)
        ended = await worker.store.expire(worker.model.name, self._clock.wall_s() - self._ttl_s)
        worker.residency.ended_in_store(ended)

    async def _save(self) -> None:
        """Checkpoint sessions whose rows are far ahead of their saved states."""
        worker, name = self._worker, self._worker.model.name
        while ids := await worker.store.behind(name, _SAVED_AT_ONCE):
            saved = await worker.between_batches(lambda ids=ids: worker.residency.save_named(ids))  # type: ignore[misc]
            if not saved:
                return

    async def _upgrade(self) -> int:
        worker = self._worker
        try:
            return await worker.between_batches(lambda: worker.residency.upgrade_some(_UPGRADED_AT_ONCE))
        except (StoreUnavailable, TokenLost) as error:
            _log.warning("upgraded sessions are not saved yet", reason=str(error))
            return 0

    def _unload(self) -> None:
        """Versions that sessions have left are let go; one that is pinned comes back with its sessions."""
        residency = self._worker.residency
        for loaded in residency.versions.all():
            is_old = loaded.index != residency.versions.newest.index
            if is_old and loaded.policy is not UpgradePolicy.PIN and not residency.num_sessions(loaded.index):
                residency.versions.unload(loaded.index)
                _log.info("version unloaded", model=residency.name, version=loaded.model.version)
