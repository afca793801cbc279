"""Tells Optuna how a trial goes, epoch by epoch, and ends it where that looks hopeless."""

import lightning
import optuna
from lightning.pytorch.callbacks import Callback


class EpochReports(Callback):
    """Reports the validation loss of each epoch to a trial.

    Attributes:
        best: the smallest so far; infinite before the first.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self._trial = trial
        self.best = float("inf")

    def on_validation_end(self, trainer: lightning.Trainer, _module: lightning.LightningModule) -> None:
        """Raises:
        optuna.TrialPruned: the study's pruner gives the trial up.
        """
        loss = float(trainer.callback_metrics["val_loss"])
        self.best = min(self.best, loss)
        self._trial.report(loss, trainer.current_epoch)
        if self._trial.should_prune():
            raise optuna.TrialPruned(f"validation loss {loss:.4g} after epoch {trainer.current_epoch}")
