"""Whether an event comes."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from models.heads.protocol import Head, linear, total
from models.manifest import Task
from models.scaling import Unit


class BinaryHead(Head):
    """The probability of the second of two labels, by a sigmoid of one number for each step, P = 1."""

    tasks: ClassVar[frozenset[Task]] = frozenset({"binary"})
    needs_unit: ClassVar[bool] = False

    def __init__(self, hidden_size: int, horizon: int, _levels: object = (), _num_labels: int = 2) -> None:
        super().__init__()
        self.linear = linear(hidden_size, horizon)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., H) -> (..., K, 1): log odds of the second label."""
        log_odds: Tensor = self.linear(hidden)
        return log_odds.unsqueeze(-1)

    def answer(self, numbers: Tensor, _unit: Unit | None) -> Tensor:
        """(..., K, 2): probabilities of both labels; see `Head.answer`."""
        # Of either side, so that a small probability keeps its digits.
        return torch.sigmoid(torch.cat([-numbers, numbers], dim=-1))

    def loss(self, numbers: Tensor, targets: Tensor, _unit: Unit | None) -> tuple[Tensor, Tensor]:
        """Cross-entropy in nats; targets are 0 and 1; see `Head.loss`."""
        observed = ~torch.isnan(targets)
        known = torch.where(observed, targets, 0.0).to(numbers.dtype)
        return total(binary_cross_entropy_with_logits(numbers[..., 0], known, reduction="none"), observed)
