"""One progress bar for a whole run: Lightning's own starts anew each epoch, and epochs here are short."""

import lightning
from lightning.pytorch.callbacks import Callback
from rich.progress import TaskID

from training.progress_bar import bar_of


class EpochProgress(Callback):
    """Epochs done and a second, the losses of the last one and the best so far; on standard error.

    The time left is until `max_epochs`, which early stopping seldom reaches.
    """

    def __init__(self, max_epochs: int) -> None:
        losses = (
            "loss {task.fields[loss]}, validation {task.fields[validation]}",
            "(best {task.fields[best]})",
        )
        self._bar = bar_of("training", "epochs", *losses)
        self._max_epochs = max_epochs
        self._task: TaskID | None = None
        self._best = float("inf")

    def on_train_start(self, trainer: lightning.Trainer, _module: lightning.LightningModule) -> None:
        self._task = self._bar.add_task(
            "", total=self._max_epochs, completed=trainer.current_epoch, loss="-", validation="-", best="-"
        )
        self._bar.start()

    def on_train_epoch_end(self, trainer: lightning.Trainer, _module: lightning.LightningModule) -> None:
        assert self._task is not None
        loss, validation = (
            float(trainer.callback_metrics.get(key, float("nan"))) for key in ("train_loss", "val_loss")
        )
        self._best = min(self._best, validation)
        self._bar.update(
            self._task,
            advance=1,
            loss=f"{loss:.4f}",
            validation=f"{validation:.4f}",
            best=f"{self._best:.4f}",
        )

    def on_train_end(self, _trainer: lightning.Trainer, _module: lightning.LightningModule) -> None:
        self._bar.stop()

    def on_exception(
        self, _trainer: lightning.Trainer, _module: lightning.LightningModule, _exception: BaseException
    ) -> None:
        self._bar.stop()
