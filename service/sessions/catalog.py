"""The served models by name, each with the worker that owns its sessions."""

from collections.abc import Iterator, Mapping

from service.errors import UnknownModel
from service.sessions.worker import SessionWorker


class Catalog:
    """Workers by model name. Session ids are names within one model."""

    def __init__(self, workers: Mapping[str, SessionWorker]) -> None:
        self._workers = dict(sorted(workers.items()))

    def __iter__(self) -> Iterator[SessionWorker]:
        return iter(self._workers.values())

    def __contains__(self, model: str) -> bool:
        return model in self._workers

    def add(self, worker: SessionWorker) -> None:
        """Serve one more model."""
        self._workers[worker.model.name] = worker

    def worker(self, model: str) -> SessionWorker:
        """The worker of a model.

        Raises:
            UnknownModel: no such model; names those there are.
        """
        worker = self._workers.get(model)
        if worker is None:
            raise UnknownModel(model, list(self._workers))
        return worker
