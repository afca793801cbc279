"""Put a model file into a repository: <repository>/<model>/<version>/model.onnx."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

FILE_NAME = "model.onnx"


def publish(
    content: bytes, repository: Path, name: str, beside: Mapping[str, bytes] = MappingProxyType({})
) -> tuple[int, Path]:
    """Write `content` as the next version of model `name`, and the files `beside` it, by name.

    The file is written beside the versions and the whole version is renamed into place, so a server
    that watches the repository sees it complete or not at all. No version that is there is touched.

    Returns:
        The version, one above the highest there is, and the file's path.
    """
    model = repository / name
    model.mkdir(parents=True, exist_ok=True)
    unfinished = model / f".unfinished-{secrets.token_hex(8)}"
    unfinished.mkdir()
    try:
        for file_name, its_content in {**beside, FILE_NAME: content}.items():
            _write_durably(unfinished / file_name, its_content)
        version = _rename_to_next_version(unfinished)
    except BaseException:
        for file in unfinished.iterdir():
            file.unlink()
        unfinished.rmdir()
        raise
    return version, model / str(version) / FILE_NAME


def latest_version(model: Path) -> int:
    """The highest version of the model in this directory; 0 where there is none."""
    return max((int(entry.name) for entry in model.iterdir() if entry.name.isdecimal()), default=0)


def _rename_to_next_version(unfinished: Path) -> int:
    """Rename the directory to its version; a rival that publishes meanwhile makes it the one after."""
    while True:
        version = latest_version(unfinished.parent) + 1
        try:
            # A directory is never renamed over one that holds a file, so a rival's version stays whole.
            unfinished.rename(unfinished.parent / str(version))
            return version
        except OSError:
            if latest_version(unfinished.parent) < version:
                raise


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
