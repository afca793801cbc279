"""What a head promises: from the recurrent output to the columns of a forecast, and its own loss.

Shapes: H hidden, K steps, P numbers a step that the head makes of the hidden ones, Q columns of a forecast.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.manifest import Task
from models.scaling import Unit

Levels = npt.NDArray[np.float64]


class Head(nn.Module, ABC):
    """Made with the hidden size, the steps, the quantile levels and the number of labels.

    What `forward` gives is in scaled units, and a loss is taken there, so that series of any level weigh
    the same; `answer` is in raw units. A step without a target (NaN) adds nothing to a loss.
    """

    # The tasks that it can be trained for.
    tasks: ClassVar[frozenset[Task]]
    # Whether it needs what a running scaler saw of the target.
    needs_unit: ClassVar[bool]
    # Whether its target is a count.
    counts: ClassVar[bool] = False

    @abstractmethod
    def forward(self, hidden: Tensor) -> Tensor:
        """(..., H) float32 -> (..., K, P) float32."""

    @abstractmethod
    def answer(self, numbers: Tensor, unit: Unit | None) -> Tensor:
        """The columns of a forecast, (..., K, Q) float32.

        Args:
            numbers: of `forward`, (..., K, P).
            unit: the target's, each (..., 1).
        """

    def size(self, unit: Unit | None) -> Tensor:
        """What an error in an answer is to be measured by, (..., 1): 1 for a probability."""
        return torch.ones(1, 1, 1) if unit is None or not self.needs_unit else unit.scale

    @abstractmethod
    def loss(self, numbers: Tensor, targets: Tensor, unit: Unit | None) -> tuple[Tensor, Tensor]:
        """Summed loss, and the number of terms in the sum.

        Args:
            numbers: of `forward`, (..., K, P).
            targets: (..., K) float64, raw units or indices of labels; NaN where there is nothing to learn.
            unit: the target's, each (..., 1).
        """


class RegressionHead(Head):
    """A head whose columns are quantiles, and which can be asked for any other quantile as well."""

    tasks: ClassVar[frozenset[Task]] = frozenset({"regression"})
    needs_unit: ClassVar[bool] = True
    level_points: Tensor

    def __init__(self, levels: Sequence[float]) -> None:
        super().__init__()
        self.levels = np.array(levels, np.float64)

    @abstractmethod
    def points(self, levels: Levels) -> Tensor:
        """The constants that `at` needs for quantiles at `levels`, of any shape; with the weights of now."""

    @abstractmethod
    def at(self, numbers: Tensor, points: Tensor, unit: Unit) -> Tensor:
        """Quantiles in raw units, float32.

        Args:
            numbers: (..., K, P).
            points: of levels (R,) for R quantiles of each step: (..., K, R). Or of levels (K, 1), for a
                level of its own for each of the K places: (..., K, 1).
            unit: each (..., 1).
        """

    def answer(self, numbers: Tensor, unit: Unit | None) -> Tensor:
        """See `Head.answer`."""
        assert unit is not None
        return self.at(numbers, self.level_points, unit)

    def keep_points(self) -> None:
        """Note the constants of the forecast's own levels: the graph holds them as they are at export."""
        self.register_buffer("level_points", self.points(self.levels), persistent=False)


def linear(hidden_size: int, num_outputs: int) -> nn.Linear:
    """Starts near zero: a forecast begins as what the scaler alone would say."""
    layer = nn.Linear(hidden_size, num_outputs)
    with torch.no_grad():
        layer.weight.mul_(0.1)
        layer.bias.zero_()
    return layer


def positive(x: Tensor) -> Tensor:
    """ELU + 1 (Clevert et al. 2016): exp(x) below zero, x + 1 above; smooth, rising and never negative.

    In parts, because ONNX Runtime 1.31 has a fast `Exp` and a slow `Elu`.
    """
    return torch.exp(x.clamp(max=0.0)) + torch.relu(x)


def raw_units(values: Tensor, unit: Unit) -> Tensor:
    """location + scale * values, float32: (..., K, Q) with a unit of (..., 1).

    In float32, as the answer is: float64 in between would move its last digit at most.
    """
    location, scale = (value.to(torch.float32).unsqueeze(-1) for value in (unit.location, unit.scale))
    if location.shape[-2] > 1:
        # Of each step. ONNX Runtime 1.31 is slow to repeat along a last axis of a few numbers.
        location = location @ torch.ones(1, values.shape[-1], device=values.device)
    return location + scale * values


def scaled_targets(targets: Tensor, unit: Unit) -> Tensor:
    """(targets - location) / scale, float32: (..., K) with a unit of (..., 1)."""
    return ((targets - unit.location) / unit.scale).to(torch.float32)


def total(loss: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """Sum and number of a loss at observed targets, both (..., K)."""
    return (loss * observed).sum(), observed.sum()
