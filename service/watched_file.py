"""A file that is read again when it changes."""

from collections.abc import Callable, Sized
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from service.clock import Clock
from service.errors import InvalidSettings

_log = structlog.get_logger()

# How old our knowledge of the file may be where nothing says that it has changed.
_LOOK_EVERY_S = 1.0
_Stamp = tuple[int, int, int]
_Content = TypeVar("_Content", bound=Sized)


class WatchedFile(Generic[_Content]):
    """What a file says; where it is wrong when it is read again, what it said before."""

    def __init__(
        self, setting: str, path: Path, parse: Callable[[bytes], _Content], made_by: str, clock: Clock
    ) -> None:
        """Read the file.

        Args:
            setting: that names it, for errors and the log.
            parse: makes the content of its bytes, or raises InvalidSettings.
            made_by: the command that makes one, for whoever has none.

        Raises:
            InvalidSettings: it is not there, or `parse` refuses it.
        """
        self._setting, self._path, self._parse, self._made_by = setting, path, parse, made_by
        self._clock = clock
        self._stamp: _Stamp | None = self._look()
        self._content = self._read()
        self._looked_at_s = clock.monotonic_s()

    def content(self) -> _Content:
        """As it was within the last second."""
        if self._clock.monotonic_s() - self._looked_at_s >= _LOOK_EVERY_S:
            self.look_again()
        return self._content

    def look_again(self) -> None:
        """At once, because something says that the file has changed."""
        self._looked_at_s = self._clock.monotonic_s()
        before, self._stamp = self._stamp, None
        what = self._setting.replace("_", " ")
        try:
            self._stamp = self._look()
            if self._stamp == before:
                return
            self._content = self._read()
            _log.info(f"{what} read again", path=str(self._path), num_entries=len(self._content))
        except InvalidSettings as error:
            # Said once, not at each look.
            if before is not None:
                _log.error(f"{what} are kept as they were", reason=str(error))

    def _look(self) -> _Stamp:
        try:
            found = self._path.stat()
        except OSError as error:
            raise self._unreadable(error) from error
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> _Content:
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise self._unreadable(error) from error
        return self._parse(content)

    def _unreadable(self, error: OSError) -> InvalidSettings:
        reason = f"{error.strerror}; `{self._made_by}` makes one"
        return InvalidSettings(f"{self._setting}: cannot read {self._path}: {reason}")
