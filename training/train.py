"""The whole way: a file of series in, a published forecaster out."""

from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto

from models.artifact import seal
from models.ensemble import Ensemble
from models.forecaster import Forecaster
from models.manifest import FeatureSpec, Manifest
from training.backtesting.run import held_out_scores
from training.dataset import Dataset, summary
from training.describe import manifest_for
from training.export import to_onnx
from training.fit import fit, fit_to_all
from training.gates import check_gates
from training.learned_epochs import LearnedEpochs
from training.parity import check_parity
from training.publish import publish
from training.read import read
from training.settings import TrainSettings
from training.transitions import transition_matrix
from training.weights import WEIGHTS_FILE, packed, read_version


@dataclass(frozen=True)
class Published:
    """Where the model is, its version there, and what it says of itself."""

    path: Path
    version: int
    manifest: Manifest


def train(settings: TrainSettings, *, progress: bool = False) -> Published:
    """Read, fit, export, hold the file against torch, backtest, publish. Nothing is published on an error.

    Raises:
        GateError: scores that do not keep the limits set; a work directory stays as it is.
        DataError: the file of series.
        SettingsError: the options.
        ParityError: the exported file computes something else than the fitted module.
    """
    dataset = read(settings)
    learned = LearnedEpochs()
    forecaster = fit(settings, dataset, progress=progress, watchers=[learned] if settings.refit else [])
    content, manifest = export(settings, dataset, forecaster, progress=progress)
    check_gates(settings.gates, manifest.backtest)
    if settings.refit:
        forecaster = fit_to_all(settings, dataset, learned.num_epochs, progress=progress)
        content, manifest = _refitted(settings, dataset, forecaster, manifest)
    beside = {WEIGHTS_FILE: packed(forecaster, manifest.digest)}
    version, path = publish(content, settings.repository, settings.name, beside)
    return Published(path, version, manifest)


def export(
    settings: TrainSettings, dataset: Dataset, forecaster: Forecaster | Ensemble, *, progress: bool = False
) -> tuple[bytes, Manifest]:
    """A fitted forecaster as a file's bytes, held against torch and scored; and its manifest.

    Raises:
        ParityError: the exported file computes something else than the fitted module.
    """
    model, manifest = _exported(settings, dataset, forecaster)
    fitted = settings.fits_baselines(len(dataset.series))
    backtest = held_out_scores(seal(model, manifest), dataset.series, fitted=fitted, progress=progress)
    scored = manifest.model_copy(update={"backtest": backtest})
    return seal(model, scored), scored


def _refitted(
    settings: TrainSettings, dataset: Dataset, forecaster: Forecaster | Ensemble, before: Manifest
) -> tuple[bytes, Manifest]:
    """As `export`, with the scores of the fit that had not seen what it was scored on."""
    model, manifest = _exported(settings, dataset, forecaster)
    training = manifest.training.model_copy(update={"refit": True})
    told = manifest.model_copy(update={"backtest": before.backtest, "training": training})
    return seal(model, told), told


def _exported(
    settings: TrainSettings, dataset: Dataset, forecaster: Forecaster | Ensemble
) -> tuple[ModelProto, Manifest]:
    """Held against torch, not scored.

    Raises:
        ParityError: the exported file computes something else than the fitted module.
    """
    model = to_onnx(forecaster)
    manifest = manifest_for(
        model,
        forecaster,
        name=settings.name,
        features=[
            FeatureSpec(name=name, required=name in settings.required, categories=categories)
            for name, categories in zip(dataset.features, dataset.categories, strict=True)
        ],
        frequency=settings.freq,
        training=summary(dataset.series),
        backtest={},
        parity_error=check_parity(model.SerializeToString(), forecaster, settings.seed),
    )
    start = read_version(settings)
    update = {
        "transition_matrix": transition_matrix(manifest, dataset.series),
        "started_from": start and start.started_from,
    }
    return model, manifest.model_copy(update=update)
