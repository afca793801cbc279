"""Which models and versions are served: by call, by SIGHUP, and as the repository changes."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TypeVar

import structlog

from service.engine.model import ServedModel
from service.errors import ModelRefused, StartupError, StatecastError, UnknownModel, UpgradeRefused
from service.loading import ModelLoader
from service.repository import ModelFile
from service.sessions.catalog import Catalog
from service.sessions.versions import UpgradePolicy
from service.sessions.worker import SessionWorker

_log = structlog.get_logger()
_T = TypeVar("_T")


class Serving:
    """Loads versions off the event loop, and hands them to their workers."""

    def __init__(
        self,
        loader: ModelLoader,
        catalog: Catalog,
        executor: Executor,
        start: Callable[[ServedModel], Awaitable[SessionWorker]],
    ) -> None:
        self._loader, self._catalog, self._executor = loader, catalog, executor
        self._start = start
        # Versions that were looked at, so that a refused one is not loaded again and again.
        self._seen = {worker.model.name: worker.model.version for worker in catalog}
        self._lock = asyncio.Lock()

    async def load(self, model: str, version: int, policy: UpgradePolicy | None) -> None:
        """Serve a version of the repository, 0 for the highest; None for the policy of its manifest.

        Raises:
            UnknownModel, UnknownVersion: the repository has none.
            UpgradeRefused: live sessions cannot go over, or the file is damaged or is not what it says.
            StartupError: the repository cannot be read.
        """
        if model not in self._catalog:
            raise UnknownModel(model, [worker.model.name for worker in self._catalog])
        try:
            file = await self._aside(lambda: self._loader.find(model, version))
            async with self._lock:
                await self._serve(file, policy)
        except ModelRefused as error:
            raise UpgradeRefused(model, version, error.reason) from error

    async def fetch(self, model: str, digest: str) -> ServedModel | None:
        """The version of a model whose file has a digest, None where there is none."""
        try:
            return await self._aside(lambda: self._loader.by_digest(model, digest))
        except StartupError as error:
            _log.warning("a version that sessions need does not load", model=model, reason=str(error))
            return None

    async def rescan(self) -> None:
        """Serve what is new in the repository: higher versions, and models. What is refused is logged."""
        try:
            files = await self._aside(self._loader.latest)
        except Exception as error:
            _log.warning("the repository cannot be read", reason=str(error))
            return
        for file in files:
            if self._seen.get(file.name, -1) >= file.version:
                continue
            self._seen[file.name] = file.version
            async with self._lock:
                try:
                    await self._serve(file, None)
                except (StartupError, StatecastError) as error:
                    _log.error("version refused", model=file.name, version=file.version, reason=str(error))

    async def watch(self, every_s: float) -> None:
        """Rescan again and again, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            await self.rescan()

    async def _serve(self, file: ModelFile, policy: UpgradePolicy | None) -> None:
        model = await self._aside(lambda: self._loader.load(file))
        if file.name not in self._catalog:
            self._catalog.add(await self._start(model))
        else:
            policy = policy or UpgradePolicy(model.manifest.upgrade)
            await self._catalog.worker(file.name).serve(model, policy)
        _log.info("version served", model=file.name, version=file.version, policy=str(policy or ""))

    async def _aside(self, act: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, act)
