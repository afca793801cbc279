"""The heads by name; a new one is registered here and nowhere else."""

from collections.abc import Callable, Sequence

from models.heads.binary import BinaryHead
from models.heads.classes import ClassesHead
from models.heads.gaussian import GaussianHead
from models.heads.negative_binomial import NegativeBinomialHead
from models.heads.protocol import Head, RegressionHead
from models.heads.quantile import QuantileHead
from models.heads.student_t import StudentTHead
from models.manifest import Task

# Called with the hidden size, the steps, the quantile levels and the number of labels.
MakeHead = Callable[[int, int, Sequence[float], int], Head]

HEADS: dict[str, type[Head]] = {
    "quantile": QuantileHead,
    "gaussian": GaussianHead,
    "student-t": StudentTHead,
    "negative-binomial": NegativeBinomialHead,
    "binary": BinaryHead,
    "classes": ClassesHead,
}


def heads_for(task: Task) -> list[str]:
    """The names of the heads that a task can have; the first is the one to take where none is named."""
    return [name for name, head in HEADS.items() if task in head.tasks]


__all__ = ["HEADS", "Head", "MakeHead", "RegressionHead", "heads_for"]
