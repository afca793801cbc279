"""How far back in time the loss of a forecast still teaches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from models.forecaster import Forecaster
from training.diagnosis.windows import Windows, warmed_up

Verdict = Literal["vanishing", "exploding", "reaches back"]

# float32 rounds a share smaller than this away, added to the gradient of the nearest rows.
VANISHED = 1e-6
# Ten times what clipping is usually set to cut by: updates are then mostly noise of far rows.
EXPLODED = 1e3


@dataclass(frozen=True)
class Gradient:
    """The loss of the last row's forecast, differentiated by the state after each row before.

    Attributes:
        norms: of the gradient by the state k rows back, k = 0, 1, ...; the mean over the windows.
        tensors: the states by which it is taken.
    """

    norms: tuple[float, ...]
    tensors: tuple[str, ...]

    @property
    def steps(self) -> int:
        """Rows back, at the furthest."""
        return len(self.norms) - 1

    @property
    def relative(self) -> tuple[float, ...]:
        """Each norm by the first of them; all zero where the loss depends on no state."""
        first = self.norms[0]
        return tuple(norm / first if first else 0.0 for norm in self.norms)

    @property
    def factor(self) -> float:
        """What it is multiplied by a step back, on average: below 1 it fades, above 1 it grows."""
        present = [share for share in self.relative if share > 0]
        return float(present[-1] ** (1 / (len(present) - 1))) if len(present) > 1 else 0.0

    @property
    def reach(self) -> int:
        """The furthest row back before the gradient falls below a millionth of the first."""
        gone = [lag for lag, share in enumerate(self.relative) if not share >= VANISHED]
        return gone[0] - 1 if gone else self.steps

    @property
    def verdict(self) -> Verdict:
        """What a teacher would call it."""
        if max(self.relative) > EXPLODED or not all(map(_is_finite, self.norms)):
            return "exploding"
        return "vanishing" if self.reach < self.steps else "reaches back"


def gradient_through_time(forecaster: Forecaster, windows: Windows) -> Gradient:
    """Walk a row at a time, and differentiate by every state of the cell on the way. Changes nothing.

    The scaler's sums are left out: they are data, not learned.
    """
    names = tuple(forecaster.cell.state_init())
    state = warmed_up(forecaster, windows)
    passed: list[list[Tensor]] = []
    for row in range(windows.num_warm_up, windows.x.shape[1]):
        numbers, unit, state = forecaster.scaled(windows.x[:, row : row + 1], state)
        if not passed:
            state |= {name: state[name].detach().requires_grad_() for name in names}
        passed.append([state[name] for name in names])
    # The forecast is that of the output after the last row, by which the state of that row is seen.
    numbers = forecaster.decoder(forecaster.cell.output(state).unsqueeze(1))
    loss, terms = forecaster.head.loss(numbers, windows.targets[..., : numbers.shape[-2]], unit)
    flat = [tensor for tensors in passed for tensor in tensors]
    gradients = torch.autograd.grad(loss / terms, flat, allow_unused=True)
    by_row = [gradients[at : at + len(names)] for at in range(0, len(flat), len(names))]
    return Gradient(tuple(_norm(one) for one in reversed(by_row)), names)


def _norm(gradients: Sequence[Tensor | None]) -> float:
    squares = [gradient.square().flatten(1).sum(dim=1) for gradient in gradients if gradient is not None]
    return float(torch.stack(squares).sum(dim=0).sqrt().mean()) if squares else 0.0


def _is_finite(number: float) -> bool:
    return abs(number) < float("inf")
