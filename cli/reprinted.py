"""What typer prints for a shell, printed another way."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO


@contextmanager
def reprinted(change: Callable[[list[str]], Iterable[str]]) -> Iterator[None]:
    """What the block prints is kept back; once it has ended, what `change` makes of its lines is printed."""
    printed = StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:
        for line in change(printed.getvalue().splitlines()):
            print(line)
