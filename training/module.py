"""The Lightning module: the head's loss over segments with carried state."""

import math

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from models.forecaster import Forecaster
from models.state import State, initial_state
from training.dataset import WARM_UP
from training.processes import num_processes, rank
from training.segments import Segment
from training.shared_lanes import over_processes
from training.teacher_forcing import with_own_forecasts

# Steps of a lane's forecasts in a segment of validation.
_TARGETS_JUDGED = 16_384


class ForecasterModule(lightning.LightningModule):
    """Walks a forecaster along segments; the state is carried from batch to batch, its gradient is not."""

    def __init__(
        self,
        forecaster: Forecaster,
        *,
        learning_rate: float,
        missing_rate: float,
        required: tuple[int, ...],
        seed: int,
        teacher_forcing: float = 1.0,
        num_epochs: int = 1,
        num_origins: int | None = None,
    ) -> None:
        """`num_origins`: rows of a segment whose forecasts are learned, all where it is None."""
        super().__init__()
        self.forecaster = forecaster
        self.learning_rate = learning_rate
        self.missing_rate = missing_rate
        architecture = forecaster.architecture
        # A time and what is said of the whole series do not go missing now and then.
        time = [architecture.row_layout.width - 1] if architecture.reads_time else []
        self.never_hidden = [*required, *architecture.static, *time]
        self.seed = seed
        self.teacher_forcing = teacher_forcing
        self.num_epochs = num_epochs
        self.num_origins = num_origins
        self._carried: State = {}
        self._validation_sum = torch.zeros(2)
        self._shared_draws: torch.Generator | None = None

    def configure_optimizers(self) -> OptimizerLRScheduler:
        # In one pass over all weights: on a CPU each operator on a small one costs more than its numbers do.
        # Lightning cuts no gradients of such an optimizer in mixed precision.
        fused = self.device.type == "cpu" and self.trainer.precision == "32-true"
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.learning_rate, weight_decay=1e-4, fused=fused
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._step_size)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "epoch"}}

    def _step_size(self, epoch: int) -> float:
        """Half a cosine from one to a hundredth over the epochs (Loshchilov & Hutter 2017)."""
        return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(epoch / self.num_epochs, 1.0)))

    def on_train_epoch_start(self) -> None:
        # Each epoch has a stream of its own, so that a resumed run draws what an unbroken one draws.
        seed = self.seed + 7919 * (self.current_epoch + 1)
        torch.manual_seed(seed + 104_729 * rank())
        if num_processes() > 1:
            # What is hidden is drawn for all lanes in each process, as one process alone would draw it.
            self._shared_draws = torch.Generator(self.device).manual_seed(seed)

    def training_step(self, batch: Segment, _index: int) -> Tensor | None:
        loss, terms = self._advance(batch._replace(x=self._hide(batch.x)))
        total = over_processes(terms)
        if total == 0 and num_processes() == 1:
            return None
        # Lightning takes the mean of the processes' gradients: here that of the mean over all terms.
        mean = loss * num_processes() / total.clamp(min=1)
        logged = over_processes(mean) / num_processes()
        self.log("train_loss", logged, on_step=False, on_epoch=True, batch_size=len(batch.x))
        return mean

    def on_validation_epoch_start(self) -> None:
        self._validation_sum = torch.zeros(2)

    def validation_step(self, batch: Segment, _index: int) -> None:
        loss, terms = self._advance(batch)
        self._validation_sum += torch.stack([loss, terms]).cpu()

    def on_validation_epoch_end(self) -> None:
        loss, terms = over_processes(self._validation_sum.to(self.device))
        # Without one observed target there is no telling; the first epoch then stays the best.
        self.log("val_loss", loss / terms.clamp(min=1))

    def _advance(self, batch: Segment) -> tuple[Tensor, Tensor]:
        """Walk one segment on and keep the state for the next; summed loss and its number of terms."""
        state = self._start(batch)
        rows = self._origins(batch.targets)
        if rows is not None and not len(rows):
            self._carried = self.forecaster.advance(batch.x, state)
            nothing = torch.zeros((), device=batch.x.device)
            return nothing, nothing
        numbers, unit, after = self.forecaster.scaled(batch.x, state, rows)
        if self.training and self.teacher_forcing < 1:
            # The state that is carried on has seen the truth alone.
            mixed = with_own_forecasts(self.forecaster, batch.x, state, self.teacher_forcing)
            numbers, unit, _ = self.forecaster.scaled(mixed, state, rows)
        self._carried = {name: value.detach() for name, value in after.items()}
        # A roll-out is trained on its first step.
        targets = batch.targets[..., : numbers.shape[-2]]
        scaler = self.forecaster.inputs.scaler
        if self.forecaster.head.needs_unit and scaler is not None:
            known = _observed_so_far(batch.x, scaler.num_observed(state)) >= WARM_UP
            targets = torch.where(known[..., None], targets, torch.nan)
        if rows is not None:
            targets = targets.index_select(1, rows)
        return self.forecaster.head.loss(numbers, targets, unit)

    def _origins(self, targets: Tensor) -> Tensor | None:
        """The rows of a segment that are learned from or judged, the same in all lanes; None for all.

        In training rows are drawn at random. In validation they are those that have a target, thinned where
        forecasts are long: neighbours share most of their steps.
        """
        length, horizon = targets.shape[1:]
        if self.training:
            if self.num_origins is None or self.num_origins >= length:
                return None
            drawn = torch.randperm(length, generator=self._shared_draws, device=targets.device)
            return drawn[: self.num_origins].sort().values
        known = (~torch.isnan(targets)).any(dim=2).any(dim=0).nonzero()[:, 0]
        return known[:: max(1, length * horizon // _TARGETS_JUDGED)]

    def _start(self, batch: Segment) -> State:
        """The carried state; lanes marked fresh begin anew, with what came before in their window."""
        if not batch.fresh.any():
            return self._carried
        initial = {
            name: value.to(batch.x.device)
            for name, value in initial_state(self.forecaster.state_init(), len(batch.x)).items()
        }
        window = self.forecaster.inputs.window
        if window is not None and batch.history is not None:
            initial |= window.holding(batch.history)
        if batch.fresh.all():
            return initial
        return {
            name: torch.where(batch.fresh.reshape(-1, *[1] * (value.ndim - 1)), value, self._carried[name])
            for name, value in initial.items()
        }

    def _hide(self, x: Tensor) -> Tensor:
        """Drop observations at random, so that the model learns to go without; some never."""
        if self.missing_rate == 0:
            return x
        hidden = self._draws(x) < self.missing_rate
        hidden[..., self.never_hidden] = False
        return x.masked_fill(hidden, torch.nan)

    def _draws(self, x: Tensor) -> Tensor:
        """Uniform numbers, one for each of `x`; no two processes have the same lanes of them."""
        shape = len(x) * num_processes(), *x.shape[1:]
        return torch.rand(shape, device=x.device, generator=self._shared_draws)[rank() :: num_processes()]


def _observed_so_far(x: Tensor, before: Tensor) -> Tensor:
    """(B, T): observations of the target up to and with each row."""
    return before[:, None] + torch.cumsum((~torch.isnan(x[..., 0])).to(torch.float64), dim=1)
