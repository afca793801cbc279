"""Models from the repository, ready to serve; slow, so never on the event loop."""

from service.engine.model import ServedModel, prepare
from service.errors import ModelRefused, UnknownVersion
from service.repository import MAX_MODEL_BYTES, ModelFile, latest_versions, load, versions_of


class ModelLoader:
    """Loads versions of models, each with room for the same number of sessions in memory."""

    def __init__(
        self,
        repository: str,
        device: str,
        intra_op_threads: int,
        capacity: int,
        max_model_bytes: int = MAX_MODEL_BYTES,
    ) -> None:
        self._repository, self._max_bytes = repository, max_model_bytes
        self._device, self._threads, self._capacity = device, intra_op_threads, capacity
        # What each file's digest was found to be: versions are not rewritten.
        self._digests: dict[str, str] = {}

    def latest(self) -> list[ModelFile]:
        """The highest version of each model in the repository.

        Raises:
            StartupError: the repository is not there or holds no model.
        """
        return latest_versions(self._repository)

    def load(self, file: ModelFile) -> ServedModel:
        """Read, check and prepare one version.

        Raises:
            StartupError: it is refused, or the device is not there.
        """
        return prepare(
            load(self._repository, file, self._max_bytes), self._device, self._threads, self._capacity
        )

    def find(self, name: str, version: int) -> ModelFile:
        """A version of the repository; 0 is the highest.

        Raises:
            UnknownVersion: there is none; names those there are.
        """
        files = versions_of(self._repository, name)
        chosen = [file for file in files if version in (0, file.version)]
        if not chosen:
            raise UnknownVersion(name, version, [file.version for file in files])
        return chosen[-1]

    def by_digest(self, name: str, digest: str) -> ServedModel | None:
        """The version whose file has a digest, None where the repository has it no more."""
        for file in reversed(versions_of(self._repository, name)):
            if self._digests.get(file.path, digest) != digest:
                continue
            try:
                loaded = load(self._repository, file, self._max_bytes)
            except ModelRefused:
                continue
            self._digests[file.path] = loaded.manifest.digest
            if loaded.manifest.digest == digest:
                return prepare(loaded, self._device, self._threads, self._capacity)
        return None
