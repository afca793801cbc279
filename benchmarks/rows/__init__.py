"""The rows of the table, by what they share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.bench import Bench
from benchmarks.measure import Outcome, Target
from benchmarks.rows import (
    durable,
    frames,
    histories,
    hostile,
    overload,
    page,
    page_drawing,
    replicas,
    resident,
    single,
)

Run = Callable[[Bench], Iterator[Outcome]]


@dataclass(frozen=True)
class Group:
    """Rows that are measured together, on servers of their own."""

    targets: tuple[Target, ...]
    run: Run


GROUPS = (
    Group(frames.TARGETS, frames.run),
    Group(single.TARGETS, single.run),
    Group(resident.TARGETS, resident.run),
    Group(histories.TARGETS, histories.run),
    Group(histories.MIXED_TARGETS, histories.run_mixed),
    Group(overload.TARGETS, overload.run),
    Group(page.TARGETS, page.run),
    Group(page_drawing.TARGETS, page_drawing.run),
    Group(hostile.TARGETS, hostile.run),
    Group(durable.TARGETS, durable.run),
    Group(durable.RESTART_TARGETS, durable.run_restart),
    Group(replicas.TARGETS, replicas.run),
)
