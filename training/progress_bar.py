"""How far long work is: a bar with rate and time left on standard error, where that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

Advance = Callable[[int], None]
# In a narrow terminal other columns give way.
_WHOLE = Column(no_wrap=True)


class Rate(ProgressColumn):
    """Done a second; of slow work the seconds that each takes."""

    def __init__(self, units: str) -> None:
        super().__init__(_WHOLE)
        self._units = units

    def render(self, task: Task) -> Text:
        """See rich."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        if speed < 1:
            return Text(f"{1 / speed:.1f} s each", style="progress.data.speed")
        number = f"{speed:,.0f}" if speed >= 10 else f"{speed:.1f}"
        return Text(f"{number} {self._units}/s", style="progress.data.speed")


class _More(TextColumn):
    """Cut off where there is no room."""

    def __init__(self, text: str) -> None:
        super().__init__(text, table_column=Column(no_wrap=False))

    def render(self, task: Task) -> Text:
        text = super().render(task)
        text.no_wrap, text.overflow = True, "ellipsis"
        return text


class _Left(ProgressColumn):
    """What the time beside it is."""

    def render(self, task: Task) -> Text:
        return Text("" if task.finished or task.time_remaining is None else "left")


def bar_of(what: str, units: str, *more: str, is_shown: bool = True) -> Progress:
    """A bar that its user starts and stops; `more` are further columns, as rich's TextColumn takes them.

    What the process prints meanwhile stays where it belongs: lines for a terminal come above the bar.
    """
    return Progress(
        TextColumn(what),
        BarColumn(bar_width=10, table_column=_WHOLE),
        MofNCompleteColumn(table_column=_WHOLE),
        Rate(units),
        TimeRemainingColumn(elapsed_when_finished=True, table_column=_WHOLE),
        _Left(_WHOLE),
        *map(_More, more),
        console=Console(file=sys.stderr),
        disable=not (is_shown and sys.stderr.isatty()),
        redirect_stdout=sys.stdout.isatty(),
    )


@contextmanager
def progress_bar(what: str, total: int | None, units: str, *, is_shown: bool = True) -> Iterator[Advance]:
    """A bar for the time of a block, which says when more is done; silent away from a terminal.

    Args:
        total: None where nobody knows: the bar then says how much is done and how fast.
        units: what is counted, such as rows.
        is_shown: whether it is wanted at all.
    """
    with bar_of(what, units, is_shown=is_shown) as bar:
        task = bar.add_task("", total=total)
        yield lambda num: bar.advance(task, num)
        bar.update(task, total=bar.tasks[task].completed)


@contextmanager
def pulse(what: str) -> Iterator[None]:
    """For the time of a block, that it goes on and since when: of work whose end nobody knows."""
    columns = (TextColumn(what), BarColumn(bar_width=10, table_column=_WHOLE), TimeElapsedColumn(_WHOLE))
    is_shown = sys.stderr.isatty()
    with Progress(*columns, console=Console(file=sys.stderr), disable=not is_shown, transient=True) as bar:
        bar.add_task("", total=None)
        yield
