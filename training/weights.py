"""A version's weights as torch has them, beside its `model.onnx`: what a later run can start from.

The graph in `model.onnx` has them folded, reordered and fused by the exporter, see docs/decisions/0017.
"""

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.artifact import ArtifactError, unseal
from models.ensemble import Ensemble
from models.forecaster import Architecture, Forecaster
from models.manifest import Manifest, StartedFrom
from training.dataset import Dataset
from training.publish import FILE_NAME
from training.settings import SettingsError, TrainSettings

WEIGHTS_FILE = "weights.npz"
# What an architecture had before it had a field.
_DEFAULTS = {
    field.name: json.loads(json.dumps(field.default))
    for field in dataclasses.fields(Architecture)
    if field.default is not dataclasses.MISSING
}
_ARCHITECTURE, _DIGEST = "//architecture", "//digest"


# Of an architecture, what leaves the weights as they are.
_NO_WEIGHTS = {"dropout", "calibrate", "anomaly"}


@dataclass(frozen=True)
class Version:
    """A published version that a run starts from: its manifest, its architecture and its weights by name."""

    started_from: StartedFrom
    manifest: Manifest
    architecture: Mapping[str, Any]
    weights: Mapping[str, torch.Tensor]


def packed(forecaster: Forecaster | Ensemble, digest: str) -> bytes:
    """The weights, the architecture and the digest of the `model.onnx` beside; numpy's format, no pickle."""
    arrays: dict[str, Any] = {name: value.cpu().numpy() for name, value in forecaster.state_dict().items()}
    about: dict[str, str] = {_ARCHITECTURE: json.dumps(_plain(forecaster.architecture)), _DIGEST: digest}
    file = io.BytesIO()
    arrays |= {name: np.array(text) for name, text in about.items()}
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def read_version(settings: TrainSettings) -> Version | None:
    """The version that `settings.from_version` names; None where it names none.

    Raises:
        SettingsError: there is no such version, or its weights are not there or not those of its model.
    """
    if settings.from_version is None:
        return None
    folder = _folder(settings, settings.from_version)
    try:
        _, manifest = unseal((folder / FILE_NAME).read_bytes())
        with np.load(folder / WEIGHTS_FILE, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        architecture, digest = json.loads(str(arrays.pop(_ARCHITECTURE))), str(arrays.pop(_DIGEST))
    except FileNotFoundError as error:
        raise _refused(f"a version with {FILE_NAME} and {WEIGHTS_FILE}", f"no {error.filename}") from error
    except (OSError, ArtifactError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise _refused("a whole version", f"{folder}: {error}") from error
    if digest != manifest.digest:
        raise _refused(f"weights of {manifest.digest}, the model beside them", f"those of {digest}")
    number = int(folder.name) if folder.name.isdecimal() else None
    return Version(
        StartedFrom(version=number, digest=digest),
        manifest,
        architecture,
        {name: torch.from_numpy(array) for name, array in arrays.items()},
    )


def of_member(version: Version, member: int) -> Version:
    """What one member of an ensemble starts from.

    Raises:
        SettingsError: that version has no such member.
    """
    prefix = f"parts.{member}."
    own = {name.removeprefix(prefix): one for name, one in version.weights.items() if name.startswith(prefix)}
    if not own:
        raise _refused(f"{version.manifest.members} members, as that version has", "more")
    return dataclasses.replace(version, weights=own)


def start_from(forecaster: Forecaster, version: Version, dataset: Dataset) -> None:
    """Put a version's weights into `forecaster`, which is to forecast the series of `dataset`.

    Raises:
        SettingsError: names the first option, or list of words, by which the two differ.
    """
    new = _plain(forecaster.architecture)
    for name, value in new.items():
        before = version.architecture.get(name, _DEFAULTS.get(name))
        if before != value and name not in _NO_WEIGHTS:
            raise _refused(f"{name} {before!r}, as that version has it", repr(value))
    manifest = version.manifest
    words = [list(feature.categories) for feature in manifest.features]
    pairs = {
        "features": ([feature.name for feature in manifest.features], list(dataset.features)),
        "categories": (words, [list(one) for one in dataset.categories] or [[] for _ in dataset.features]),
        "labels": (list(manifest.labels), list(dataset.labels)),
    }
    for name, (before, value) in pairs.items():
        if before != value:
            raise _refused(f"{name} {before}, as that version has them", str(value))
    forecaster.load_state_dict(dict(version.weights))


def _plain(architecture: Architecture) -> dict[str, Any]:
    """As JSON gives it back: lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(architecture)))
    return plain


def _folder(settings: TrainSettings, named: str) -> Path:
    """A number is a version of the model that is published to; anything else a path to a version."""
    path = settings.output / named if named.isdecimal() else Path(named)
    return path.parent if path.name == FILE_NAME else path


def _refused(expected: str, found: str) -> SettingsError:
    return SettingsError(f"from: expected {expected}, found {found}")
