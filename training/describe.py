"""The manifest of a forecaster that is about to be written."""

from collections.abc import Mapping, Sequence

import onnx

from models.artifact import digest
from models.forecaster import Forecaster
from models.frequency import Frequency
from models.manifest import FeatureSpec, Manifest, TrainingSummary
from training.export import OPSET, state_specs


def manifest_for(
    model: onnx.ModelProto,
    forecaster: Forecaster,
    *,
    name: str,
    features: Sequence[FeatureSpec],
    frequency: str,
    training: TrainingSummary,
    backtest: Mapping[str, float],
    parity_error: float,
) -> Manifest:
    """What `models.artifact.seal` puts into the file of `model`, the export of `forecaster`."""
    architecture = forecaster.architecture
    return Manifest(
        name=name,
        digest=digest(model),
        cell=architecture.cell,
        head=architecture.head,
        decoder=architecture.decoder,
        features=tuple(features),
        frequency=frequency,
        season_length=Frequency.parse(frequency).season_length,
        task=architecture.task,
        predicts=architecture.predicts,
        labels=architecture.labels,
        look_ahead=forecaster.cell.look_ahead,
        horizon=architecture.horizon,
        quantile_levels=architecture.quantile_levels,
        states=state_specs(forecaster),
        opset=OPSET,
        training=training,
        backtest=dict(backtest),
        parity_error=parity_error,
    )
