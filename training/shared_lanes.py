"""The lanes of a batch among processes, and sums over them."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from training.processes import num_processes, rank
from training.segments import Segment


class OwnLanes:
    """Of each segment the lanes that are this process': every N-th of N processes, from its rank on.

    A lane stays with its process, so its carried state does too. All have as many lanes, some of them idle:
    each process then takes part in each step, and no sum over processes waits for one that has ended.
    """

    def __init__(self, segments: Iterable[Segment]) -> None:
        self._segments = segments

    def __iter__(self) -> Iterator[Segment]:
        for segment in self._segments:
            yield _lanes(segment, rank(), num_processes())


def _lanes(segment: Segment, first: int, every: int) -> Segment:
    idle = -len(segment.fresh) % every
    history = segment.history
    return Segment(
        _with_idle(segment.x, idle)[first::every],
        _with_idle(segment.targets, idle)[first::every],
        torch.cat([segment.fresh, torch.ones(idle, dtype=torch.bool)])[first::every],
        None if history is None else _with_idle(history, idle)[first::every],
    )


def _with_idle(part: Tensor, num: int) -> Tensor:
    """(B, ...) and `num` lanes more, of missing values."""
    return torch.cat([part, torch.full((num, *part.shape[1:]), torch.nan, dtype=torch.float64)])


def over_processes(part: Tensor) -> Tensor:
    """The sum of every process' `part`, without a gradient; the same in each."""
    total = part.detach().clone()
    if num_processes() > 1:
        torch.distributed.all_reduce(total)
    return total
