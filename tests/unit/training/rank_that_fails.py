"""Run by torchrun: trains, and its second process fails in the first epoch."""

import sys
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import Callback

from tests.unit.training.series_files import settings_for
from training.dataset import read_dataset
from training.fit import fit
from training.processes import rank


class _Fails(Callback):
    def on_train_epoch_end(self, _trainer: lightning.Trainer, _module: lightning.LightningModule) -> None:
        if rank() == 1:
            raise RuntimeError("rank 1 is out of order")


if __name__ == "__main__":
    settings = settings_for(Path(sys.argv[1]), max_epochs=1_000_000, patience=1_000_000)
    fit(settings, read_dataset(settings), watchers=[_Fails()])
