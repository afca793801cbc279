"""Files that are read again when they change."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from service.errors import InvalidSettings

_log = structlog.get_logger()

_Stamp = tuple[int, int, int, int] | None
_Content = TypeVar("_Content")


class RereadFiles(Generic[_Content]):
    """What some files say together; where they are wrong when they are read again, what they said before.

    Attributes:
        content: what they say.
    """

    def __init__(self, what: str, paths: Sequence[Path], read: Callable[[], _Content]) -> None:
        """Read the files.

        Args:
            what: they are, for the log.
            read: makes the content, or raises InvalidSettings.

        Raises:
            InvalidSettings: as `read`.
        """
        self._what, self._paths, self._read = what, paths, read
        # Before they are read, so that what is written meanwhile is seen at the next look.
        self._stamps = self._look()
        self.content = read()

    def have_changed(self) -> bool:
        """Look at them again; whether `content` is another now."""
        before, self._stamps = self._stamps, self._look()
        if self._stamps == before:
            return False
        try:
            self.content = self._read()
        except InvalidSettings as error:
            # Said once, not at each look.
            _log.error(f"{self._what} kept as before", reason=str(error))
            return False
        _log.info(f"{self._what} read again", paths=[str(path) for path in self._paths])
        return True

    def _look(self) -> tuple[_Stamp, ...]:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: Path) -> _Stamp:
    """Of what is there; with the time of its last change of any kind, as who may read it is one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
