"""The benchmark's model file: an untrained LSTM of two layers of 64, one feature, 24 steps, 3 levels.

Run as a program it writes the file, so that whoever measures never loads torch.
"""

import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

NAME = "bench"
_LEVELS = (0.1, 0.5, 0.9)
_HORIZON = 24
_HIDDEN = 64
_NUM_LAYERS = 2


def make(path: Path) -> None:
    """Export and seal the model, with a fixed seed."""
    import torch

    from models.artifact import seal
    from models.forecaster import Architecture, Forecaster
    from models.manifest import FeatureSpec, TrainingSummary
    from training.describe import manifest_for
    from training.export import to_onnx

    torch.manual_seed(0)
    forecaster = Forecaster(Architecture("lstm", 1, _HIDDEN, _NUM_LAYERS, 0.0, _HORIZON, _LEVELS)).eval()
    with torch.no_grad():
        # A fresh head starts near persistence, which would hide a state that went astray, and with
        # biases of zero, which the exporter drops.
        for parameter in forecaster.head.parameters():
            parameter.mul_(20.0).add_(0.01)
    model = to_onnx(forecaster)
    never = datetime(2020, 1, 1, tzinfo=UTC)
    manifest = manifest_for(
        model,
        forecaster,
        name=NAME,
        features=[FeatureSpec(name="y")],
        frequency="h",
        training=TrainingSummary(num_series=1, num_rows=1, num_missing=0, first_time=never, last_time=never),
        backtest={},
        parity_error=0.0,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(seal(model, manifest))


def repository(code: Path, cache: Path) -> Path:
    """A repository with the model as `code` (a checkout) exports it; made once for each state of it."""
    graph = [code / "training" / name for name in ("export.py", "operators.py")]
    sources = sorted([*(code / "models").rglob("*.py"), *filter(Path.exists, graph), Path(__file__)])
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    made = cache / f"repository-{key}"
    file = made / NAME / "1" / "model.onnx"
    if not file.exists():
        paths = os.pathsep.join([str(code), str(Path(__file__).parents[1])])
        command = [sys.executable, "-m", "benchmarks.model", str(file)]
        subprocess.run(command, cwd=code, env={**os.environ, "PYTHONPATH": paths}, check=True, timeout=120)
    return made


if __name__ == "__main__":
    make(Path(sys.argv[1]))
