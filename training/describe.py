"""The manifest of a forecaster that is about to be written."""

from collections.abc import Mapping, Sequence

import onnx

from models.artifact import digest
from models.ensemble import Ensemble
from models.forecaster import Architecture, Forecaster
from models.frequency import Frequency
from models.manifest import FeatureSpec, Manifest, Role, TrainingSummary
from training.export import OPSET, state_specs


def manifest_for(
    model: onnx.ModelProto,
    forecaster: Forecaster | Ensemble,
    *,
    name: str,
    features: Sequence[FeatureSpec],
    frequency: str,
    training: TrainingSummary,
    backtest: Mapping[str, float],
    parity_error: float,
) -> Manifest:
    """What `models.artifact.seal` puts into the file of `model`, the export of `forecaster`.

    The roles of `features` are those that the forecaster reads them in.
    """
    architecture = forecaster.architecture
    return Manifest(
        name=name,
        digest=digest(model),
        cell=architecture.cell,
        members=len(forecaster.members),
        head=architecture.head,
        decoder=architecture.decoder,
        features=tuple(
            feature.model_copy(update={"role": _role(architecture, index)})
            for index, feature in enumerate(features)
        ),
        reads_time=architecture.reads_time,
        frequency=frequency,
        season_length=Frequency.parse(frequency).season_length,
        task=architecture.task,
        predicts=architecture.predicts,
        labels=architecture.labels,
        look_ahead=forecaster.first.cell.look_ahead,
        horizon=architecture.horizon,
        quantile_levels=architecture.quantile_levels,
        calibrated=architecture.calibrate,
        scores_anomalies=architecture.anomaly,
        states=state_specs(forecaster),
        opset=OPSET,
        training=training,
        backtest=dict(backtest),
        parity_error=parity_error,
    )


def _role(architecture: Architecture, feature: int) -> Role:
    if feature in architecture.future:
        return "future"
    return "static" if feature in architecture.static else "past"
