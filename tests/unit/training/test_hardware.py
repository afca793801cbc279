"""Precision and devices."""

from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from tests.unit.training.series_files import settings_for, write_csv
from training.dataset import read_dataset
from training.fit import fit
from training.parity import TOLERANCE
from training.settings import SettingsError
from training.train import train


@pytest.mark.parametrize("cell", ["lstm", "min-gru"])
def test_mixed_precision_publishes_a_float32_model_that_passes_parity(cell: str, tmp_path: Path) -> None:
    """Weights and the exported file are float32, and the file computes what the module does."""
    data = write_csv(tmp_path / "data.csv")
    published = train(settings_for(data, precision="bf16-mixed", cell=cell, work_dir=tmp_path / "work"))
    assert published.manifest.parity_error <= TOLERANCE
    weights = torch.load(tmp_path / "work/best.ckpt", weights_only=True)["state_dict"]
    assert {weight.dtype for weight in weights.values()} <= {torch.float32, torch.float64}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: a CPU has no float16 to train in")
@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed"])
def test_mixed_precision_on_a_gpu_learns_as_single_precision_does(precision: str, tmp_path: Path) -> None:
    """On the same rows the loss is within a tenth, and the exported file computes what the module does."""
    data = write_csv(tmp_path / "data.csv")
    published = {
        each: train(settings_for(data, precision=each, output=tmp_path / each / "model"))
        for each in ("32", precision)
    }
    single, mixed = (published[each].manifest for each in ("32", precision))
    assert mixed.parity_error <= TOLERANCE
    assert mixed.backtest["mae"] == pytest.approx(single.backtest["mae"], rel=0.1)


class _Autocast(Callback):
    """Notes how the network's numbers are cast whenever a loss is taken."""

    def __init__(self) -> None:
        self.seen: set[torch.dtype | None] = set()

    def on_fit_start(self, _trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        module.forecaster.decoder.register_forward_pre_hook(lambda *_: self.seen.add(_cast_to()))


def _cast_to() -> torch.dtype | None:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None


@pytest.mark.skipif(torch.cuda.is_available(), reason="reads the CPU's casts")
@pytest.mark.parametrize(("precision", "expected"), [("32", None), ("bf16-mixed", torch.bfloat16)])
def test_the_network_runs_in_the_precision_asked_for(
    precision: str, expected: torch.dtype | None, tmp_path: Path
) -> None:
    """Mixed precision casts in training and validation; without it nothing is cast."""
    settings = settings_for(write_csv(tmp_path / "data.csv"), precision=precision, max_epochs=1)
    watcher = _Autocast()
    fit(settings, read_dataset(settings), watchers=[watcher])
    assert watcher.seen == {expected}


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "16-mixed"}, "precision: expected 32 or bf16-mixed on a CPU"),
        ({"devices": 2}, "devices: expected 1 without torchrun"),
    ],
)
def test_what_the_machine_has_not_is_refused(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    """The option is named, and nothing is trained."""
    with pytest.raises(SettingsError, match=message):
        train(settings_for(write_csv(tmp_path / "data.csv"), **options))
