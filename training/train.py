"""The whole way: a file of series in, a published forecaster out."""

from dataclasses import dataclass
from pathlib import Path

from models.artifact import seal
from models.manifest import FeatureSpec, Manifest
from training.backtesting.run import held_out_scores
from training.dataset import summary
from training.describe import manifest_for
from training.export import to_onnx
from training.fit import fit
from training.parity import check_parity
from training.publish import publish
from training.read import read
from training.settings import TrainSettings
from training.transitions import transition_matrix


@dataclass(frozen=True)
class Published:
    """Where the model is, its version there, and what it says of itself."""

    path: Path
    version: int
    manifest: Manifest


def train(settings: TrainSettings, *, progress: bool = False) -> Published:
    """Read, fit, export, hold the file against torch, backtest, publish. Nothing is published on an error.

    Raises:
        DataError: the file of series.
        SettingsError: the options.
        ParityError: the exported file computes something else than the fitted module.
    """
    dataset = read(settings)
    forecaster = fit(settings, dataset, progress=progress)
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
    fitted = settings.fits_baselines(len(dataset.series))
    update = {
        "backtest": held_out_scores(seal(model, manifest), dataset.series, fitted=fitted),
        "transition_matrix": transition_matrix(manifest, dataset.series),
    }
    scored = manifest.model_copy(update=update)
    version, path = publish(seal(model, scored), settings.repository, settings.name)
    return Published(path, version, scored)
