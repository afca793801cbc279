"""A command on a terminal of its own, as somebody at a screen sees it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.server_process import clean_environment

_LIMIT_S = 20.0
# Colours, the cursor's moves, the other screen, the window's title.
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07]*\x07|[()][AB0]|[=>78])")


class Terminal:
    """A process whose standard streams are a terminal; `shown` is all that it wrote, without escapes."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 100,
        lines: int = 40,
        cwd: Path | None = None,
        **variables: str,
    ) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        environment = clean_environment(TERM="xterm-256color")
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            environment.pop(name, None)
        environment |= variables
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
        os.close(theirs)
        self._file, self._read, self._from = ours, b"", 0

    @property
    def shown(self) -> str:
        """Everything until now."""
        return _ESCAPES.sub("", self._read.decode("utf-8", "replace")).replace("\r", "")

    def expect(self, *patterns: str) -> str:
        """Wait until each was written, after what was found before; returns what came since."""
        until = time.monotonic() + _LIMIT_S
        while True:
            fresh = self.shown[self._from :]
            if all(re.search(pattern, fresh) for pattern in patterns):
                self._from = len(self.shown)
                return fresh
            if time.monotonic() > until or not self._more():
                raise AssertionError(f"expected {patterns}, found {fresh[-5000:]!r}")

    @property
    def raw(self) -> bytes:
        """With escapes."""
        return self._read

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._file, keys.encode())

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        """Read to the end; returns the exit status."""
        while self._more():
            pass
        return self.process.wait(_LIMIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(_LIMIT_S)
        os.close(self._file)

    def _more(self) -> bool:
        """Read some; False at the end."""
        if not select.select([self._file], [], [], _LIMIT_S)[0]:
            raise AssertionError(f"nothing for {_LIMIT_S} s after {self.shown[-2000:]!r}")
        try:
            chunk = os.read(self._file, 65_536)
        except OSError:  # Linux says so once the process has closed its side
            return False
        self._read += chunk
        return bool(chunk)


def statecast(*arguments: object) -> list[str]:
    """The command line of a subcommand."""
    return [sys.executable, "-m", "cli", *map(str, arguments)]
