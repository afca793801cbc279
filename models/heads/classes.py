"""Which of several labels, or which symbol comes next."""

from typing import ClassVar

import torch
from torch import Tensor

from models.heads.protocol import Head, linear, total
from models.manifest import Task
from models.scaling import Unit


class ClassesHead(Head):
    """Probabilities of C labels by a softmax for each step, P = Q = C."""

    tasks: ClassVar[frozenset[Task]] = frozenset({"classification", "next-symbol"})
    needs_unit: ClassVar[bool] = False

    def __init__(self, hidden_size: int, horizon: int, _levels: object, num_labels: int) -> None:
        super().__init__()
        self.num_labels = num_labels
        self.linear = linear(hidden_size, horizon * num_labels)

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., H) -> (..., K, C): logits."""
        logits: Tensor = self.linear(hidden)
        return logits.reshape(*logits.shape[:-1], -1, self.num_labels)

    def answer(self, numbers: Tensor, _unit: Unit | None) -> Tensor:
        """(..., K, C): probabilities; see `Head.answer`."""
        return torch.softmax(numbers, dim=-1)

    def loss(self, numbers: Tensor, targets: Tensor, _unit: Unit | None) -> tuple[Tensor, Tensor]:
        """Cross-entropy in nats; targets are indices of labels; see `Head.loss`."""
        observed = ~torch.isnan(targets)
        known = torch.where(observed, targets, 0.0).to(torch.int64)
        chosen = torch.log_softmax(numbers, dim=-1).gather(-1, known.unsqueeze(-1)).squeeze(-1)
        return total(-chosen, observed)
