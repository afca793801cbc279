"""The model repository: `<repository>/<model>/<version>/model.onnx`, a folder or any fsspec URL."""

from dataclasses import dataclass

import fsspec
import onnx

from models.artifact import ArtifactError, unseal
from models.graph_rules import check_graph, check_size
from models.manifest import Manifest
from service.errors import ModelRefused, StartupError

_FILE = "model.onnx"
_NEXT_STEP = "`statecast train --output REPOSITORY/NAME` puts a model there"
MAX_MODEL_BYTES = 1 << 30


@dataclass(frozen=True)
class ModelFile:
    """One version of a model, found but not read."""

    name: str
    version: int
    path: str


@dataclass(frozen=True)
class LoadedModel:
    """One version of a model: its graph and its manifest, checked against each other."""

    file: ModelFile
    graph: onnx.ModelProto
    manifest: Manifest


def latest_versions(repository: str) -> list[ModelFile]:
    """The highest version of each model, by name. Other files and folders are left alone.

    Raises:
        StartupError: the repository is not there or holds no model.
    """
    files = _find(repository, "*")
    if not files:
        raise StartupError(f"repository {repository}: no <model>/<version>/{_FILE} in it; {_NEXT_STEP}")
    latest = {file.name: file for file in files}
    return sorted(latest.values(), key=lambda file: file.name)


def versions_of(repository: str, name: str) -> list[ModelFile]:
    """Every version of a model, oldest first; none where there is no such model.

    Raises:
        StartupError: the repository is not there.
    """
    return [file for file in _find(repository, "*") if file.name == name]


def _find(repository: str, name: str) -> list[ModelFile]:
    """Models of a name, or of any for `*`, their versions ascending."""
    # Listings are cached by remote file systems; a new version must be seen.
    system, root = fsspec.core.url_to_fs(repository, use_listings_cache=False)
    if not system.isdir(root):
        raise StartupError(f"repository {repository}: not a folder; {_NEXT_STEP}")
    found = []
    for path in system.glob(f"{root.rstrip('/')}/{name}/*/{_FILE}"):
        model, version = path.split("/")[-3:-1]
        if version.isdecimal():
            found.append(ModelFile(model, int(version), path))
    return sorted(found, key=lambda file: file.version)


def load(repository: str, file: ModelFile, max_bytes: int = MAX_MODEL_BYTES) -> LoadedModel:
    """Read and check one version.

    Raises:
        ModelRefused: not a statecast model, damaged, larger than `max_bytes`, or with what no graph from
            elsewhere may hold.
    """
    system, _ = fsspec.core.url_to_fs(repository)
    size = system.info(file.path)["size"]
    if size is None or size > max_bytes:
        raise ModelRefused(file.path, f"expected at most {max_bytes} bytes (max_model_bytes), found {size}")
    try:
        # Not one byte more than was found: it may grow meanwhile.
        graph, manifest = unseal(system.cat_file(file.path, 0, size))
        check_size(manifest)
        check_graph(graph)
    except ArtifactError as error:
        raise ModelRefused(file.path, str(error)) from error
    return LoadedModel(file, graph, manifest)
