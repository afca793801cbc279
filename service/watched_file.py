"""A file that is looked at again every second."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from service.clock import Clock
from service.errors import InvalidSettings
from service.reread_files import RereadFiles

# How old our knowledge of the file may be where nothing says that it has changed.
_LOOK_EVERY_S = 1.0
_Content = TypeVar("_Content")


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
        self._file = RereadFiles(setting.replace("_", " "), [path], self._read)
        self._looked_at_s = clock.monotonic_s()

    def content(self) -> _Content:
        """As it was within the last second."""
        if self._clock.monotonic_s() - self._looked_at_s >= _LOOK_EVERY_S:
            self.look_again()
        return self._file.content

    def look_again(self) -> None:
        """At once, because something says that the file has changed."""
        self._looked_at_s = self._clock.monotonic_s()
        self._file.have_changed()

    def _read(self) -> _Content:
        try:
            content = self._path.read_bytes()
        except OSError as error:
            reason = f"{error.strerror}; `{self._made_by}` makes one"
            raise InvalidSettings(f"{self._setting}: cannot read {self._path}: {reason}") from error
        return self._parse(content)
