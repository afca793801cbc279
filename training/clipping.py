"""Bounds on single numbers of a gradient, beside Lightning's bound on its norm."""

import lightning
import torch
from lightning.pytorch.callbacks import Callback


class ClipValues(Callback):
    """Cuts every number of the gradient to [-limit, limit]; before the norm is clipped, which comes after.

    One weight's outlier is cut where the norm would shrink all weights by it; the direction changes.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit

    def on_before_optimizer_step(
        self,
        _trainer: lightning.Trainer,
        module: lightning.LightningModule,
        _optimizer: torch.optim.Optimizer,
    ) -> None:
        """See the class."""
        torch.nn.utils.clip_grad_value_(module.parameters(), self._limit)
