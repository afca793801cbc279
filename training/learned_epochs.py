"""How long each member learned until it was best."""

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint


class LearnedEpochs(Callback):
    """Epochs up to the one of the lowest validation loss, of each run that it watched.

    Read from the best checkpoint, which a run that was resumed may have from before.
    """

    def __init__(self) -> None:
        self.num_epochs: list[int] = []

    def on_fit_end(self, trainer: lightning.Trainer, _module: lightning.LightningModule) -> None:
        (best,) = (
            one for one in trainer.checkpoint_callbacks if isinstance(one, ModelCheckpoint) and one.monitor
        )
        checkpoint = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
        self.num_epochs.append(int(checkpoint["epoch"]) + 1)
